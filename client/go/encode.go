// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// A packer holds the bytes of a message that is being made, without its head, and the descriptors that go with it.
type packer struct {
	b     []byte
	files *fileStore // where large values go. nil: into the message
	sent  []*sentFile
	depth int // of the value that is being packed
}

var packers = sync.Pool{New: func() any { return new(packer) }}

const keptPacker = 64 << 10 // a packer with more room than that is not kept

func newPacker(files *fileStore) *packer {
	p := packers.Get().(*packer)
	p.files = files
	return p
}

// free keeps the packer for another message. Its bytes have been copied.
func (p *packer) free() {
	if cap(p.b) > keptPacker {
		return
	}
	p.b, p.files, p.sent = p.b[:0], nil, nil
	packers.Put(p)
}

// drop frees a packer whose message is not sent.
func (p *packer) drop() {
	p.closeFiles()
	p.free()
}

func (p *packer) closeFiles() {
	for _, file := range p.sent {
		file.close()
	}
	p.sent = nil
}

// Write takes bytes from the msgpack library.
func (p *packer) Write(b []byte) (int, error) {
	p.b = append(p.b, b...)
	return len(b), nil
}

// WriteByte takes a byte from the msgpack library.
func (p *packer) WriteByte(c byte) error {
	p.b = append(p.b, c)
	return nil
}

// values packs an array of values.
func (p *packer) values(values []any) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	p.b = appendArrayHead(p.b, len(values))
	for i, value := range values {
		if err := p.value(value); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (p *packer) mapping(m map[string]any) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	p.b = appendMapHead(p.b, len(m))
	for key, value := range m {
		p.b = appendString(p.b, key)
		if err := p.value(value); err != nil {
			return within(fmt.Sprintf("[%q]", key), err)
		}
	}
	return nil
}

// enter goes into a value that has others in it.
func (p *packer) enter() error {
	if p.depth >= maxDepth {
		return errTooDeep
	}
	p.depth++
	return nil
}

func (p *packer) leave() { p.depth-- }

// value packs one value: the commonest types here, all others by the msgpack library.
func (p *packer) value(value any) error {
	switch v := value.(type) {
	case nil:
		p.b = append(p.b, wireNil)
	case bool:
		p.b = appendBool(p.b, v)
	case int:
		p.b = appendInt(p.b, int64(v))
	case int64:
		p.b = appendInt(p.b, v)
	case int32:
		p.b = appendInt(p.b, int64(v))
	case uint64:
		p.b = appendUint(p.b, v)
	case float64:
		p.b = appendFloat(p.b, v)
	case string:
		p.b = appendString(p.b, v)
	case []byte:
		p.bytes(v)
	case Raw:
		return p.raw(v)
	case Ext:
		p.ext(v.Type, v.Data)
	case NdArray:
		return p.ndArray(v)
	case []any:
		return p.values(v)
	case map[string]any:
		return p.mapping(v)
	default:
		return p.numbers(value)
	}
	return nil
}

// numbers packs arrays of common types.
func (p *packer) numbers(value any) error {
	switch v := value.(type) {
	case []int:
		p.b = appendArrayHead(p.b, len(v))
		for _, n := range v {
			p.b = appendInt(p.b, int64(n))
		}
	case []float64:
		p.b = appendArrayHead(p.b, len(v))
		for _, f := range v {
			p.b = appendFloat(p.b, f)
		}
	case []string:
		p.b = appendArrayHead(p.b, len(v))
		for _, s := range v {
			p.b = appendString(p.b, s)
		}
	default:
		return p.byLibrary(value)
	}
	return nil
}

// raw packs what must be one whole value.
func (p *packer) raw(v Raw) error {
	if _, rest, ok := readRaw(v); !ok || len(rest) > 0 {
		return errNotOneValue
	}
	p.b = append(p.b, v...)
	return nil
}

func (p *packer) bytes(v []byte) {
	if v == nil {
		p.b = append(p.b, wireNil)
		return
	}
	if !p.beside(referenceToBin, v) {
		p.b = append(appendBinHead(p.b, len(v)), v...)
	}
}

func (p *packer) ext(kind int8, parts ...[]byte) {
	if p.beside(referenceToExt|uint64(uint8(kind)), parts...) {
		return
	}
	p.b = appendExtHead(p.b, kind, totalOf(parts))
	for _, part := range parts {
		p.b = append(p.b, part...)
	}
}

func (p *packer) ndArray(v NdArray) error {
	head, err := v.head()
	if err == nil {
		p.ext(ndArrayType, head, v.Data)
	}
	return err
}

// beside puts a large value into a file, and what stands for it into the message. False: it goes into the message itself.
func (p *packer) beside(kind uint64, parts ...[]byte) bool {
	size := totalOf(parts)
	if p.files == nil || size < largeValue || len(p.sent) >= maxFiles {
		return false
	}
	file := p.files.filled(size, parts)
	if file == nil {
		return false
	}
	p.sent = append(p.sent, file)
	p.b = appendReference(p.b, kind, size)
	return true
}

func totalOf(parts [][]byte) (n int) {
	for _, part := range parts {
		n += len(part)
	}
	return n
}

// byLibrary has the msgpack library pack a value.
func (p *packer) byLibrary(value any) error {
	v := reflect.ValueOf(value)
	if err := checkDepth(v, p.depth); err != nil {
		return err
	}
	if err := p.encode(v); err != nil {
		return findFault(v, p.depth, err)
	}
	return nil
}

func (p *packer) encode(v reflect.Value) error {
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(p)
	enc.UseCompactInts(true)
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 {
		p.b = appendArrayHead(p.b, v.Len())
		for i := 0; i < v.Len(); i++ {
			if err := enc.Encode(v.Index(i).Interface()); err != nil {
				return err
			}
		}
		return nil
	}
	return enc.Encode(v.Interface())
}
