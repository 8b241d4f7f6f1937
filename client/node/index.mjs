// SPDX-License-Identifier: Apache-2.0
import objpool from "./index.js";

export const { connect, ObjpoolError, RemoteError, Ext, Float, NdArray, encode, decode } = objpool;
export default objpool;
