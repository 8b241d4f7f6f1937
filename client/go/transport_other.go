// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package objpool

import "net"

func newTransport(conn net.Conn) transport { return plainTransport{conn} }
