// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The library as a CommonJS module; index.mjs is the same module for import. */
require("./lib/dispose.js");
const { connect } = require("./lib/client.js");
const { decode } = require("./lib/decode.js");
const { encode } = require("./lib/encode.js");
const { ObjpoolError, RemoteError } = require("./lib/errors.js");
const { Ext, Float, NdArray } = require("./lib/values.js");

module.exports = { connect, ObjpoolError, RemoteError, Ext, Float, NdArray, encode, decode };
