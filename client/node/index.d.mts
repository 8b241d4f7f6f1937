// SPDX-License-Identifier: Apache-2.0
export * from "./index.js";
import * as objpool from "./index.js";
export default objpool;
