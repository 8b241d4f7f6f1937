// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A Code says what kind of error an [*Error] is. Codes are errors themselves, for errors.Is:
//
//	if errors.Is(err, objpool.Overloaded) { ... }
type Code string

// The codes of the daemon. It may send others that a later version knows.
const (
	BadRequest   Code = "BAD_REQUEST"    // parameters or options are not what they must be
	BadTarget    Code = "BAD_TARGET"     // the target is none
	NoSuchPool   Code = "NO_SUCH_POOL"   // there is no pool of that name
	NoSuchSlot   Code = "NO_SUCH_SLOT"   // the pool has fewer slots
	NoSuchMethod Code = "NO_SUCH_METHOD" // the class has no method of that name
	BadArgument  Code = "BAD_ARGUMENT"   // the method, or the daemon, does not take these arguments
	Denied       Code = "DENIED"         // the client has no right to that: User and Right say more
	Failed       Code = "FAILED"         // the method reported an error: Type, Message and Traceback are its own
	WorkerLost   Code = "WORKER_LOST"    // the worker died: Signal or ExitStatus says how
	Timeout      Code = "TIMEOUT"        // the call's time is over
	Cancelled    Code = "CANCELLED"      // the call was cancelled, or its pool dropped
	Overloaded   Code = "OVERLOADED"     // a queue is full, or a limit is reached: RetryAfter says when to try again, if known
	TooLarge     Code = "TOO_LARGE"      // a message or a result is over the daemon's limit
	Unavailable  Code = "UNAVAILABLE"    // no instance is alive that could answer
	HostLost     Code = "HOST_LOST"      // another machine went while it owed the answer: Host says which
	Unreachable  Code = "UNREACHABLE"    // no machine can be asked, or not the one that the target names
	Internal     Code = "INTERNAL"       // a bug of the daemon
)

// The codes that this package adds.
const (
	ConnectionLost Code = "CONNECTION_LOST" // the connection ended before the answer came
	NoDaemon       Code = "NO_DAEMON"       // nobody answers at the address; also is ConnectionLost
	BadValue       Code = "BAD_VALUE"       // a value can't be sent, or what came does not fit the type that was asked for
)

// Error returns the code's name.
func (c Code) Error() string { return string(c) }

// Whether a method ran, as [Error] says it.
const (
	RanNo    = "no"    // it is safe to call again
	RanMaybe = "maybe" // it may have run
	RanYes   = "yes"   // it has run, in part at least
)

// An Error is what went wrong with a call. All errors that this package returns are, or wrap, one:
//
//	var e *objpool.Error
//	if errors.As(err, &e) && e.Ran == objpool.RanNo { ... }
//
// Printed with %+v it has the traceback of the object's language, too.
type Error struct {
	Code    Code
	Message string
	// Ran says whether the method ran: RanNo (it is safe to call again), RanMaybe or RanYes.
	Ran string
	// Type is the exception's class in the object's language, Traceback the text of where it came from. Both may be empty.
	Type, Traceback string
	// Pool, Slot and Generation say where it ran. "" and -1: not known.
	Pool       string
	Slot       int
	Generation int
	// Index is the item of an all, map, scatter or stream. -1: it is no item's error.
	Index int
	// Signal or ExitStatus says how the worker ended. 0 and -1: not so.
	Signal, ExitStatus int
	// Data is what the object added, as it packed it.
	Data []byte
	// Items and Failed are, of a stream that has failed, how many results came before, and how many of them were failures.
	Items, Failed int
	// RetryAfter is, of Overloaded, when to try again. 0: not known.
	RetryAfter time.Duration
	// Host is, of HostLost and Unreachable, the machine that went, or can't be asked.
	Host string
	// User and Right are, of Denied, who may not do what.
	User, Right string

	cause error
}

// newError makes an error of this side.
func newError(code Code, ran string, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Ran: ran, Slot: -1, Generation: -1, Index: -1, ExitStatus: -1}
}

// withRan is the same error, of something that has run or not.
func (e *Error) withRan(ran string) *Error {
	other := *e
	other.Ran = ran
	return &other
}

// because gives the error a cause, which errors.Is and errors.As find.
func (e *Error) because(cause error) *Error {
	e.cause = cause
	return e
}

// Error returns the code and the message, with the exception's type and the item where there are such.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("objpool: ")
	if e.Index >= 0 {
		fmt.Fprintf(&b, "item %d: ", e.Index)
	}
	b.WriteString(string(e.Code))
	if e.Type != "" && e.Type != e.Message {
		b.WriteString(": " + e.Type)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Format prints the error; with %+v the traceback follows.
func (e *Error) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'q':
		_, _ = fmt.Fprintf(f, "%q", e.Error())
		return
	default:
		_, _ = io.WriteString(f, e.Error())
	}
	if verb == 'v' && f.Flag('+') && e.Traceback != "" {
		_, _ = io.WriteString(f, "\n"+strings.TrimRight(e.Traceback, "\n"))
	}
}

// Unwrap returns what caused the error on this side: the context's error, or that of the network. Nil: the daemon sent it.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the error's code. A Timeout also is context.DeadlineExceeded, a NoDaemon also ConnectionLost.
func (e *Error) Is(target error) bool {
	if code, ok := target.(Code); ok {
		return e.Code == code || e.Code == NoDaemon && code == ConnectionLost
	}
	return target == context.DeadlineExceeded && e.Code == Timeout
}

// mayPass reports whether a call that failed so may be made again, and may succeed then.
func (e *Error) mayPass(idempotent bool) bool {
	switch e.Code {
	case Overloaded, Unavailable, WorkerLost, HostLost, Unreachable, ConnectionLost, NoDaemon:
		return idempotent || e.Ran == RanNo && e.Index < 0
	}
	return false
}

// fromContext is the error of a call that was given up because its context has ended.
func fromContext(ctx context.Context, ran string) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return newError(Timeout, ran, "the call's context: its time is over").because(ctx.Err())
	}
	return newError(Cancelled, ran, "the call's context was cancelled").because(ctx.Err())
}

// readError reads an error as the daemon sends it: a map, or a text "CODE: message".
func readError(raw []byte) *Error {
	e := newError("", RanMaybe, "")
	value, _, err := decodeAny(raw)
	if err != nil {
		return newError(Internal, RanMaybe, "the daemon has sent an error that can't be read: %v", err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		code, message, _ := strings.Cut(fmt.Sprint(value), ": ")
		e.Code, e.Message = Code(code), message
		return e
	}
	for key, value := range fields {
		e.set(key, value)
	}
	return e
}

func (e *Error) set(key string, value any) {
	text, _ := value.(string)
	number, _ := value.(int64)
	switch key {
	case "code":
		e.Code = Code(text)
	case "message":
		e.Message = text
	case "ran":
		e.Ran = text
	case "type":
		e.Type = text
	case "traceback":
		e.Traceback = text
	case "pool":
		e.Pool = text
	case "slot":
		e.Slot = int(number)
	case "generation":
		e.Generation = int(number)
	case "index":
		e.Index = int(number)
	case "signal":
		e.Signal = int(number)
	case "exit_status":
		e.ExitStatus = int(number)
	case "data":
		e.Data, _ = value.([]byte)
	case "retry_after_ms":
		e.RetryAfter = time.Duration(number) * time.Millisecond
	case "items":
		e.Items = int(number)
	case "failed":
		e.Failed = int(number)
	case "user":
		e.User = text
	case "host":
		e.Host = text
	case "right":
		e.Right = text
	}
}
