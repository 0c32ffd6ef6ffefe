package functions

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // WebCrypto has it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"
	"golang.org/x/net/idna"
)

// arguments are those of a host function, read one by one.
type arguments struct {
	iso  *isolate
	ptrs []byte
}

// at is the i-th argument; a missing one fails.
func (a arguments) at(i int) (uint32, error) {
	if len(a.ptrs) < 4*(i+1) {
		return 0, errors.New("an argument is missing")
	}
	return binary.LittleEndian.Uint32(a.ptrs[4*i:]), nil
}

func (a arguments) text(i int) (string, error) {
	v, err := a.at(i)
	if err != nil {
		return "", err
	}
	return a.iso.text(v)
}

func (a arguments) number(i int) (float64, error) {
	v, err := a.at(i)
	if err != nil {
		return 0, err
	}
	if a.iso.must("qjs_is_number", uint64(v)) == 0 {
		return 0, errors.New("not a number")
	}
	bits, err := a.iso.call("qjs_get_float64", uint64(v))
	return math.Float64frombits(bits), err
}

func (a arguments) bytes(i int) ([]byte, error) {
	v, err := a.at(i)
	if err != nil {
		return nil, err
	}
	return a.iso.bytes(v, int(a.iso.run.call.Limits.Memory))
}

// hostCall is the one function of the host that QuickJS calls: its first two
// parameters name which one is meant. What fails is thrown as a string, of
// which the prelude makes an Error: making one here would run setters of the guest's.
func hostCall(ctx context.Context, mod api.Module, s []uint64) {
	iso := isolateOf(ctx)
	name, ok := mod.Memory().Read(uint32(s[0]), uint32(s[1]))
	if !ok || iso == nil || iso.run == nil {
		panic(errTrap)
	}
	args := arguments{iso: iso}
	if n := uint32(s[3]); n > 0 {
		if ptrs, ok := mod.Memory().Read(uint32(s[4]), 4*min(n, 8)); ok {
			args.ptrs = append(args.ptrs, ptrs...)
		}
	}
	v, err := iso.run.serve(string(name), args)
	if err != nil {
		if iso.trapped || errors.Is(err, errTrap) {
			panic(err)
		}
		text, err := iso.newString([]byte(err.Error()))
		if err != nil {
			panic(err)
		}
		iso.must("qjs_throw", uint64(text))
		iso.must("qjs_free_value", uint64(text))
		v = 0
	}
	s[0] = uint64(v)
}

// serve runs one host function and returns its value.
func (r *run) serve(name string, a arguments) (uint32, error) {
	switch name {
	case "call":
		id, err := a.number(0)
		if err != nil {
			return 0, err
		}
		method, err := a.text(1)
		if err != nil {
			return 0, err
		}
		body, err := a.text(2)
		if err != nil {
			return 0, err
		}
		return r.nothing(r.request(request{id: id, method: method, body: body}))
	case "settle":
		ok, err := a.number(0)
		if err != nil {
			return 0, err
		}
		text, err := a.text(1)
		if err != nil {
			return 0, err
		}
		if !r.settled {
			r.settled, r.ok, r.text = true, ok != 0, text
		}
		return r.nothing(nil)
	case "log":
		level, err := a.text(0)
		if err != nil {
			return 0, err
		}
		text, err := a.text(1)
		if err != nil {
			return 0, err
		}
		r.log(level, text)
		return r.nothing(nil)
	case "timer":
		return r.setTimer(a)
	case "untimer":
		id, err := a.number(0)
		if err == nil {
			r.timers.remove(id)
		}
		return r.nothing(err)
	case "now":
		return r.iso.number(float64(r.rt.cfg.Now().Sub(r.began)) / float64(time.Millisecond))
	default:
		return r.compute(name, a)
	}
}

// compute runs a host function that has no effect.
func (r *run) compute(name string, a arguments) (uint32, error) {
	switch name {
	case "random":
		if r.loading {
			return 0, errLoading
		}
		n, err := a.number(0)
		if err != nil {
			return 0, err
		}
		const most = 65536 // WebCrypto's
		b := make([]byte, int(min(max(n, 0), most)))
		r.rt.cfg.Random(b)
		return r.iso.newBytes(b)
	case "digest", "hmac":
		algorithm, err := a.text(0)
		if err != nil {
			return 0, err
		}
		first, err := a.bytes(1)
		if err != nil {
			return 0, err
		}
		newHash := hashes(algorithm)
		if newHash == nil {
			return 0, fmt.Errorf("no such algorithm: %s", algorithm)
		}
		if name == "digest" {
			h := newHash()
			h.Write(first)
			return r.iso.newBytes(h.Sum(nil))
		}
		data, err := a.bytes(2)
		if err != nil {
			return 0, err
		}
		h := hmac.New(newHash, first)
		h.Write(data)
		return r.iso.newBytes(h.Sum(nil))
	case "encode":
		text, err := a.text(0)
		if err != nil {
			return 0, err
		}
		return r.iso.newBytes([]byte(text))
	case "decode":
		b, err := a.bytes(0)
		if err != nil {
			return 0, err
		}
		fatal, err := a.number(1)
		if err != nil {
			return 0, err
		}
		if !utf8.Valid(b) {
			if fatal != 0 {
				return 0, errors.New("the bytes are not UTF-8")
			}
			b = replaceInvalid(b)
		}
		return r.iso.newString(b)
	case "ascii":
		host, err := a.text(0)
		if err != nil {
			return 0, err
		}
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return 0, fmt.Errorf("not a host name: %s", host)
		}
		return r.iso.newString([]byte(ascii))
	}
	return 0, fmt.Errorf("no host function %s", name)
}

// hashes returns the hash of a WebCrypto name; nil: there is none.
func hashes(algorithm string) func() hash.Hash {
	switch algorithm {
	case "SHA-1":
		return sha1.New
	case "SHA-256":
		return sha256.New
	case "SHA-384":
		return sha512.New384
	case "SHA-512":
		return sha512.New
	}
	return nil
}

// replaceInvalid puts U+FFFD in the place of each maximal part of b that begins
// a character and does not end it (WHATWG Encoding, 4.1).
func replaceInvalid(b []byte) []byte {
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		if c, n := utf8.DecodeRune(b); c != utf8.RuneError || n > 1 {
			out, b = append(out, b[:n]...), b[n:]
			continue
		}
		n := 1
		for n < len(b) && n < utf8.UTFMax && !utf8.FullRune(b[:n]) && b[n]&0xc0 == 0x80 && couldBegin(b[:n+1]) {
			n++
		}
		out, b = utf8.AppendRune(out, utf8.RuneError), b[n:]
	}
	return out
}

// couldBegin reports whether b is the beginning of a character.
func couldBegin(b []byte) bool { return !utf8.FullRune(b) }

func (r *run) setTimer(a arguments) (uint32, error) {
	if r.loading {
		return 0, errLoading
	}
	id, err := a.number(0)
	if err != nil {
		return 0, err
	}
	ms, err := a.number(1)
	if err != nil {
		return 0, err
	}
	if len(r.timers.list) >= r.call.Limits.Timers {
		return 0, fmt.Errorf("%d timers wait, which is the limit", len(r.timers.list))
	}
	const most = 1 << 31 // of the standard
	if !(ms >= 1) || ms >= most {
		ms = 1
	}
	r.timers.add(id, r.rt.cfg.Now().Add(time.Duration(ms*float64(time.Millisecond))))
	return r.nothing(nil)
}

// nothing is undefined, or err.
func (r *run) nothing(err error) (uint32, error) {
	if err != nil {
		return 0, err
	}
	v, err := r.iso.call("qjs_dup_value", uint64(r.snap.undefined))
	return uint32(v), err
}

func (iso *isolate) number(f float64) (uint32, error) {
	v, err := iso.call("qjs_new_number", math.Float64bits(f))
	return uint32(v), err
}
