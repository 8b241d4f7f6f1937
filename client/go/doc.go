// SPDX-License-Identifier: Apache-2.0

/*
Package objpool calls objects that an objpool daemon serves.

	client, err := objpool.Connect(ctx, "") // the usual daemon, or $OBJPOOL_ADDRESS
	...
	sum, err := objpool.Call[float64](ctx, client.Pool("dice"), "add_and_get_property", 2)

A pool has several instances of a class. A [Target] says which of them a call is for: any ([Client.Pool]), the one in a
slot ([Target.Slot]), each ([Target.All]), a task for each item ([Target.Map], [Target.Scatter]), the one for a key
([Target.Key]). [Call] waits for the result, [Begin] leaves that for later, [Stream] gives results one by one, and
[Target.Notify] wants none. [Client.Do] is what is below all of them.

Contexts come first: their deadlines are told to the daemon, and when one ends its call is cancelled there.

Errors are of type [*Error], with a [Code] for errors.Is. Error.Ran says whether the method ran.

A [Client] is one connection, for any number of goroutines. When it is lost, all that is under way fails with
ConnectionLost, and the next call connects anew.
*/
package objpool
