// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"fmt"
	"io"
	"reflect"
)

// An Input is where the items of a streamed map come from: see [FromSlice], [FromChan], [FromFunc], and FromSeq where Go has
// iterators. It is read once, by one goroutine.
type Input interface {
	// next packs the next item. False: there are no more. It returns when stop is closed, if it can.
	next(stop <-chan struct{}, p *packer) (bool, error)
	// blocks reports whether next may wait for something.
	blocks() bool
}

// FromSlice gives the values of a slice.
func FromSlice[T any](values []T) Input { return &sliceInput[T]{values} }

type sliceInput[T any] struct{ rest []T }

func (in *sliceInput[T]) blocks() bool { return false }

func (in *sliceInput[T]) next(_ <-chan struct{}, p *packer) (bool, error) {
	if len(in.rest) == 0 {
		return false, nil
	}
	err := p.value(in.rest[0])
	in.rest = in.rest[1:]
	return err == nil, err
}

// FromChan gives what is received from a channel, until it is closed.
func FromChan[T any](values <-chan T) Input { return chanInput[T]{values} }

type chanInput[T any] struct{ values <-chan T }

func (in chanInput[T]) blocks() bool { return true }

func (in chanInput[T]) next(stop <-chan struct{}, p *packer) (bool, error) {
	select {
	case value, ok := <-in.values:
		if !ok {
			return false, nil
		}
		err := p.value(value)
		return err == nil, err
	case <-stop:
		return false, nil
	}
}

// FromFunc gives what a function returns, until it returns an error. io.EOF is the end of the input; any other error is the
// failure of one more item, and of the stream. The function is called by another goroutine, one call at a time. A call that is
// under way when the stream is closed runs on.
func FromFunc[T any](next func() (T, error)) Input { return funcInput[T]{next} }

type funcInput[T any] struct{ call func() (T, error) }

func (in funcInput[T]) blocks() bool { return true }

func (in funcInput[T]) next(_ <-chan struct{}, p *packer) (bool, error) {
	value, err := in.call()
	if err == io.EOF {
		return false, nil
	}
	if err == nil {
		err = p.value(value)
	}
	return err == nil, err
}

// inputOf makes an input of an argument.
func inputOf(arg any) (Input, error) {
	switch arg := arg.(type) {
	case Input:
		return arg, nil
	case []any:
		return FromSlice(arg), nil
	case []int:
		return FromSlice(arg), nil
	case []float64:
		return FromSlice(arg), nil
	case []string:
		return FromSlice(arg), nil
	}
	v := reflect.ValueOf(arg)
	switch {
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		return &listInput{v, 0}, nil
	case v.Kind() == reflect.Chan && v.Type().ChanDir()&reflect.RecvDir != 0:
		return anyChanInput{v}, nil
	}
	return nil, fmt.Errorf("the input of a streamed map is a slice, a channel or an Input, and no %T", arg)
}

// A listInput gives the values of a slice or an array of any type.
type listInput struct {
	list reflect.Value
	at   int
}

func (in *listInput) blocks() bool { return false }

func (in *listInput) next(_ <-chan struct{}, p *packer) (bool, error) {
	if in.at == in.list.Len() {
		return false, nil
	}
	err := p.value(in.list.Index(in.at).Interface())
	in.at++
	return err == nil, err
}

// An anyChanInput gives what comes from a channel of any type.
type anyChanInput struct{ values reflect.Value }

func (in anyChanInput) blocks() bool { return true }

func (in anyChanInput) next(stop <-chan struct{}, p *packer) (bool, error) {
	which, value, ok := reflect.Select([]reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: in.values},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(stop)},
	})
	if which != 0 || !ok {
		return false, nil
	}
	err := p.value(value.Interface())
	return err == nil, err
}

// zip gives arrays of one item of each input, until one of them ends.
type zip []Input

func (in zip) blocks() bool {
	for _, each := range in {
		if each.blocks() {
			return true
		}
	}
	return false
}

// end ends those inputs that need it.
func (in zip) end() {
	for _, each := range in {
		if each, ok := each.(interface{ end() }); ok {
			each.end()
		}
	}
}

func (in zip) next(stop <-chan struct{}, p *packer) (bool, error) {
	p.b = appendArrayHead(p.b, len(in))
	for _, each := range in {
		if ok, err := each.next(stop, p); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
