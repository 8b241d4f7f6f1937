// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

// Plays what a program asks in a dialogue of tests/wire, and compares what the library gives. tests/wire/README.md has the form.

// ---- values ----

// A step is one of a dialogue.
type step map[string]any

func (s step) text(key string) string { return fmt.Sprint(s[key]) }

// name is how a step names what it begins, or speaks of.
func (s step) name(key string) string {
	if s[key] == nil {
		return ""
	}
	return fmt.Sprint(s[key])
}

func (s step) list(key string) []any {
	list, _ := valueOf(s[key]).([]any)
	return list
}

func (s step) options() map[string]any {
	options, _ := valueOf(s["options"]).(map[string]any)
	return options
}

// steps reads a dialogue.
func steps(t testing.TB, path string) []step {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var dialogue struct{ Steps []step }
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&dialogue); err != nil {
		t.Fatal(err)
	}
	return dialogue.Steps
}

// special is the special form that a value is: its name and what it holds.
func special(told any) (string, any) {
	m, _ := told.(map[string]any)
	if len(m) == 1 {
		for key, held := range m {
			if strings.HasPrefix(key, "$") {
				return key, held
			}
		}
	}
	return "", nil
}

func bytesOf(text any) []byte {
	data, err := hex.DecodeString(strings.ReplaceAll(text.(string), " ", ""))
	if err != nil {
		panic(err)
	}
	return data
}

// valueOf is the value that stands in a step.
func valueOf(told any) any {
	switch name, held := special(told); name {
	case "$bin":
		return bytesOf(held)
	case "$ext":
		kind, _ := held.([]any)[0].(json.Number).Int64()
		return objpool.Ext{Type: int8(kind), Data: bytesOf(held.([]any)[1])}
	case "$counting":
		n, _ := held.(json.Number).Int64()
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i)
		}
		return data
	}
	switch told := told.(type) {
	case json.Number:
		return number(told)
	case []any:
		values := make([]any, len(told))
		for i, each := range told {
			values[i] = valueOf(each)
		}
		return values
	case map[string]any:
		values := map[string]any{}
		for key, each := range told {
			values[key] = valueOf(each)
		}
		return values
	}
	return told
}

func number(told json.Number) any {
	if n, err := told.Int64(); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(told.String(), 10, 64); err == nil {
		return n
	}
	f, _ := told.Float64()
	return f
}

var kinds = map[string][]reflect.Kind{
	"nil": {reflect.Invalid}, "bool": {reflect.Bool}, "int": {reflect.Int64, reflect.Uint64}, "float": {reflect.Float64},
	"str": {reflect.String}, "bin": {reflect.Slice}, "ext": {reflect.Struct}, "array": {reflect.Slice}, "map": {reflect.Map},
}

// differs says how a value is not what was told. "": it is.
func differs(told, got any) string {
	name, held := special(told)
	switch {
	case name == "$any" && held == "value":
		return ""
	case name == "$any":
		for _, kind := range kinds[held.(string)] {
			if reflect.ValueOf(got).Kind() == kind {
				return ""
			}
		}
	case name == "$starts":
		if text, ok := got.(string); ok && strings.HasPrefix(text, held.(string)) {
			return ""
		}
	case name == "":
		list, isList := told.([]any)
		values, _ := got.([]any)
		if isList && len(list) == len(values) {
			return eachDiffers(list, values)
		}
		m, isMap := told.(map[string]any)
		fields, _ := got.(map[string]any)
		if isMap && len(m) == len(fields) {
			return fieldsDiffer(m, fields)
		}
	}
	if reflect.DeepEqual(valueOf(told), got) {
		return ""
	}
	return fmt.Sprintf("%#v should be %v", got, told)
}

func eachDiffers(told, got []any) string {
	for i := range told {
		if words := differs(told[i], got[i]); words != "" {
			return words
		}
	}
	return ""
}

// fieldsDiffer compares those fields that were told.
func fieldsDiffer(told, got map[string]any) string {
	for key, each := range told {
		if words := differs(each, got[key]); words != "" {
			return key + ": " + words
		}
	}
	return ""
}

// fieldsOf are the fields of an error as the wire has them.
func fieldsOf(e *objpool.Error) map[string]any {
	fields := map[string]any{"code": string(e.Code), "message": e.Message, "ran": e.Ran}
	for key, text := range map[string]string{"type": e.Type, "traceback": e.Traceback, "pool": e.Pool, "user": e.User, "right": e.Right, "host": e.Host} {
		if text != "" {
			fields[key] = text
		}
	}
	for key, n := range map[string]int{"slot": e.Slot, "generation": e.Generation, "index": e.Index, "exit_status": e.ExitStatus} {
		if n >= 0 {
			fields[key] = int64(n)
		}
	}
	if e.Signal > 0 {
		fields["signal"] = int64(e.Signal)
	}
	if e.RetryAfter > 0 {
		fields["retry_after_ms"] = int64(e.RetryAfter / time.Millisecond)
	}
	if e.Data != nil {
		fields["data"] = e.Data
	}
	return fields
}

// errorDiffers compares an error with the fields that were told.
func errorDiffers(told any, err error) string {
	var e *objpool.Error
	if !errors.As(err, &e) {
		return fmt.Sprintf("%v should be the error %v", err, told)
	}
	return fieldsDiffer(told.(map[string]any), fieldsOf(e))
}

// ---- playing ----

// An outcome is how something has ended that was begun.
type outcome struct {
	done  chan struct{}
	value any
	err   error
}

// A player is a program that does what a dialogue says.
type player struct {
	t        testing.TB
	ctx      context.Context
	client   *objpool.Client
	begun    map[string]*outcome
	cancels  map[string]context.CancelFunc
	steps    map[string]step
	progress map[string][]any
	leases   map[string]*objpool.Lease
	streams  map[string]*objpool.Results[any]
}

func newPlayer(t testing.TB, client *objpool.Client) *player {
	ctx, cancel := context.WithCancel(context.Background()) // without a deadline, which would be in the messages
	t.Cleanup(cancel)
	timer := time.AfterFunc(deadline, cancel)
	t.Cleanup(func() { timer.Stop() })
	return &player{t: t, ctx: ctx, client: client, begun: map[string]*outcome{}, cancels: map[string]context.CancelFunc{},
		steps: map[string]step{}, progress: map[string][]any{}, leases: map[string]*objpool.Lease{},
		streams: map[string]*objpool.Results[any]{}}
}

func (p *player) play(all []step) string {
	for i, s := range all {
		words := ""
		switch {
		case s["do"] != nil:
			p.do(s)
		case s["gives"] != nil:
			words = p.check(s)
		}
		if words != "" {
			return fmt.Sprintf("step %d, %v: %s", i+1, s, words)
		}
	}
	return ""
}

func (p *player) do(s step) {
	p.steps[s.name("as")] = s
	switch s["do"] {
	case "call":
		p.call(s)
	case "stream":
		p.stream(s)
	case "notify":
		target, args := p.target(s)
		if err := target.Notify(p.ctx, s.text("method"), args...); err != nil {
			p.t.Fatal(err)
		}
	case "cancel":
		p.cancels[s.name("call")]()
	case "ask":
		p.ask(s)
	case "lease":
		p.lease(s)
	case "release":
		p.release(s)
	}
}

// wait has the outcome of what was begun in the background.
func (p *player) wait(s step, f func() (any, error)) {
	o := &outcome{done: make(chan struct{})}
	p.begun[s.name("as")] = o
	go func() {
		defer close(o.done)
		o.value, o.err = f()
	}()
}

// sends does something in the background, and returns when it has sent a message.
func (p *player) sends(s step, f func() (any, error)) {
	before := objpool.Sent(p.client)
	p.wait(s, f)
	o := p.begun[s.name("as")]
	waitUntil(p.t, func() bool {
		select {
		case <-o.done:
			return true
		default:
			return objpool.Sent(p.client) > before
		}
	})
}

func (p *player) call(s step) {
	ctx, cancel := context.WithCancel(p.ctx)
	p.t.Cleanup(cancel)
	p.cancels[s.name("as")] = cancel
	target, args := p.target(s)
	if target == (objpool.Target{}) { // it goes as the wire has it
		target, args = p.client.Pool("objpool"), []any{s.text("target"), s.text("method"), s.list("args"), s.options()}
		s = step{"as": s["as"], "method": "call"}
	}
	if s["direct"] != nil { // futures go the ordinary way
		p.wait(s, func() (any, error) { return objpool.Call[any](ctx, target, s.text("method"), args...) })
		return
	}
	future := objpool.Begin[any](ctx, target, s.text("method"), args...)
	p.wait(s, future.Wait)
}

func (p *player) ask(s step) {
	future := objpool.Begin[any](p.ctx, p.client.Pool("objpool"), s.text("method"), s.list("params")...)
	p.wait(s, future.Wait)
}

func (p *player) stream(s step) {
	target, args := p.target(s)
	if s["feed"] != nil {
		args = []any{s.list("feed")}
	}
	p.streams[s.name("as")] = objpool.Stream[any](p.ctx, target, s.text("method"), args...)
}

func (p *player) lease(s step) {
	options := s.options()
	target := p.client.Pool(s.text("pool"))
	if slot, ok := options["slot"].(int64); ok {
		target = target.Slot(int(slot))
	}
	most, _ := options["lease_ms"].(int64)
	timeout, _ := options["timeout_ms"].(int64)
	target = target.With(objpool.Options{Timeout: time.Duration(timeout) * time.Millisecond})
	p.sends(s, func() (any, error) {
		lease, err := target.LeaseFor(p.ctx, time.Duration(most)*time.Millisecond)
		if err != nil {
			return nil, err
		}
		p.leases[s.name("as")] = lease
		return map[string]any{"slot": int64(lease.Slot()), "generation": int64(lease.Generation())}, nil
	})
}

func (p *player) release(s step) {
	<-p.begun[s.name("lease")].done
	lease := p.leases[s.name("lease")]
	p.sends(s, func() (any, error) { return lease.Release(p.ctx) })
}

// target is the part of the pools that a step calls, with its options, and the arguments. Target{}: the library can't
// express it.
func (p *player) target(s step) (objpool.Target, []any) {
	name, selector, selected := strings.Cut(s.text("target"), ":")
	target := p.client.Pool(name)
	slot, err := strconv.Atoi(selector)
	switch {
	case !selected:
	case selector == "all":
		target = target.All()
	case selector == "map":
		target = target.Map()
	case selector == "scatter":
		target = target.Scatter()
	case strings.HasPrefix(selector, "key="):
		target = target.Key(selector[4:])
	case err == nil && strconv.Itoa(slot) == selector:
		target = target.Slot(slot)
	default:
		return objpool.Target{}, nil
	}
	options, ok := p.options(s)
	if !ok {
		return objpool.Target{}, nil
	}
	options.Direct = s["direct"] != nil
	args := s.list("args")
	if options.ArgsAs != "" && options.ArgsAs != "zip" {
		args = []any{args}
	}
	return target.With(options), args
}

func (p *player) options(s step) (o objpool.Options, ok bool) {
	for key, value := range s.options() {
		n, _ := value.(int64)
		text, _ := value.(string)
		yes, _ := value.(bool)
		list, _ := value.([]any)
		fields, _ := value.(map[string]any)
		switch key {
		case "stream":
		case "kwargs":
			o.Kwargs = fields
		case "bind":
			o.Bind = list
		case "bind_kwargs":
			o.BindKwargs = fields
		case "args_as":
			o.ArgsAs = text
		case "errors":
			o.Errors = text
		case "timeout_ms":
			o.Timeout = time.Duration(n) * time.Millisecond
			if n == 0 {
				return o, false
			}
		case "chunk":
			o.Chunk = int(n)
		case "idempotent":
			o.Idempotent = yes
		case "ordered":
			o.Unordered = !yes
		case "window":
			o.Window = int(n)
		case "sync":
			o.Sync = yes
		case "labels":
			o.Labels = yes
		case "sticky":
			o.Sticky = text
		case "traceparent":
			o.Traceparent = text
		case "priority":
			o.Priority = int(n)
		case "progress":
			as := s.name("as")
			o.Progress = func(step objpool.Progress) {
				p.progress[as] = append(p.progress[as], []any{step.Done, step.Total, step.Text})
			}
		default:
			return o, false
		}
	}
	return o, true
}

// ---- comparing ----

func (p *player) check(s step) string {
	as := s.name("gives")
	if stream := p.streams[as]; stream != nil {
		return checkStream(s, stream)
	}
	o := p.begun[as]
	<-o.done
	_, isError := s["error"]
	wanted, isProgress := s["progress"]
	switch {
	case isProgress:
		for _, step := range p.progress[as] {
			if differs(wanted, step) == "" {
				return ""
			}
		}
		return fmt.Sprintf("this is not in %v", p.progress[as])
	case isError:
		return errorDiffers(s["error"], o.err)
	case o.err != nil:
		return o.err.Error()
	case p.steps[as].options()["errors"] == "collect":
		return outcomesDiffer(s["value"].([]any), o.value)
	}
	return differs(s["value"], o.value)
}

func outcomesDiffer(told []any, got any) string {
	values, _ := got.([]any)
	if len(values) != len(told) {
		return fmt.Sprintf("%v should be %v", got, told)
	}
	for i := range told {
		wanted, pair := told[i].([]any), values[i].([]any)
		words := differs(wanted[1], pair[1])
		if wanted[0] != nil {
			fields, _ := pair[0].(map[string]any)
			words = fieldsDiffer(wanted[0].(map[string]any), fields)
		}
		if words != "" {
			return words
		}
	}
	return ""
}

func checkStream(s step, stream *objpool.Results[any]) string {
	more := stream.Next()
	value, err := stream.Value()
	_, isItem := s["item"]
	_, isFailure := s["failure"]
	_, isError := s["error"]
	switch {
	case (isItem || isFailure) != more:
		return fmt.Sprintf("there is a result: %v; the stream's error: %v", more, stream.Err())
	case isItem && err != nil:
		return err.Error()
	case isItem:
		return differs(s["item"], value)
	case isFailure:
		return errorDiffers(s["failure"], err)
	case isError:
		return errorDiffers(s["error"], stream.Err())
	case stream.Err() != nil:
		return stream.Err().Error()
	}
	summary := stream.Summary()
	return fieldsDiffer(s["end"].(map[string]any), map[string]any{"items": int64(summary.Items), "failed": int64(summary.Failed)})
}
