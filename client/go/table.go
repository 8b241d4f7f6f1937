// SPDX-License-Identifier: Apache-2.0

package objpool

// A table has the requests in flight, by their numbers. The place of a request is the low bits of its number; a number whose
// place is taken is passed over.
type table struct {
	places []*pending // a power of two; half of them are free at least
	count  int
	last   uint32 // the number given last
}

// add gives a request a number. Numbers begin at 1: errors of the connection itself have 0.
func (t *table) add(p *pending) {
	if 2*t.count >= len(t.places) {
		t.grow()
	}
	for {
		t.last++
		if place := t.place(t.last); t.last != 0 && *place == nil {
			*place, p.id = p, t.last
			t.count++
			return
		}
	}
}

func (t *table) place(id uint32) **pending { return &t.places[id&uint32(len(t.places)-1)] }

func (t *table) grow() {
	size := 2 * len(t.places)
	if size == 0 {
		size = 64
	}
	before := t.places
	t.places = make([]*pending, size)
	for _, p := range before {
		if p != nil {
			*t.place(p.id) = p
		}
	}
}

// find returns the request of a number. Nil: there is none.
func (t *table) find(id uint64) *pending {
	if len(t.places) == 0 {
		return nil
	}
	if p := *t.place(uint32(id)); p != nil && uint64(p.id) == id {
		return p
	}
	return nil
}

func (t *table) remove(p *pending) {
	*t.place(p.id) = nil
	t.count--
}

// clear takes all requests out.
func (t *table) clear() (all []*pending) {
	for _, p := range t.places {
		if p != nil {
			all = append(all, p)
		}
	}
	t.places, t.count = nil, 0
	return all
}
