// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Symbol.asyncDispose, by which `await using` ends things, where this Node has none (before 18.18). */
if (!Symbol.asyncDispose)
	Object.defineProperty(Symbol, "asyncDispose", { value: Symbol.for("Symbol.asyncDispose") });
