// SPDX-License-Identifier: Apache-2.0

//go:build go1.23

package objpool

import "iter"

// All gives all results, each with the error of its item, and at last the error of the stream, if that is none of an item. It
// closes the results when the loop is left.
//
//	for value, err := range objpool.Stream[int](ctx, pool.Map(), "square", numbers).All() { ... }
func (s *Results[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer s.Close()
		for s.Next() {
			if !yield(s.Value()) {
				return
			}
		}
		if s.err != nil && !s.repeats() {
			var zero T
			yield(zero, s.err)
		}
	}
}

// FromSeq gives the values of an iterator. It is run in another goroutine, as far as results are taken.
func FromSeq[T any](values iter.Seq[T]) Input {
	next, stop := iter.Pull(values)
	return &seqInput[T]{next, stop}
}

type seqInput[T any] struct {
	pull func() (T, bool)
	stop func()
}

func (in *seqInput[T]) blocks() bool { return true }

// end ends the iterator. It is called by the goroutine that calls next.
func (in *seqInput[T]) end() { in.stop() }

func (in *seqInput[T]) next(_ <-chan struct{}, p *packer) (bool, error) {
	value, ok := in.pull()
	if !ok {
		return false, nil
	}
	err := p.value(value)
	return err == nil, err
}
