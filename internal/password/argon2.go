package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The parameters of new hashes: the OWASP password storage cheat sheet's choice
// with 19 MiB, which withstands guessing on graphics cards like RFC 9106's
// larger ones while more logins fit into memory at once. x/crypto allocates that
// memory anew for each hash; it has no way to lend it some.
const (
	ownMemory = 19 << 10 // KiB
	ownPasses = 2
	ownLanes  = 1
	saltBytes = 16
	sumBytes  = 32
)

// The bounds of parameters that come with an imported hash. Django's argon2 is
// 100 MiB, 2 passes and 8 lanes.
const (
	maxMemory      = 128 << 10 // KiB
	maxPasses      = 16
	maxLanes       = 16
	maxMemoryReads = 512 << 10 // KiB: passes times memory; about a second
)

// The bounds of salts and sums of all forms, in bytes (RFC 9106 section 3.1 for
// the lower ones).
const (
	minSalt, maxSalt = 8, 64
	minSum, maxSum   = 16, 64
)

// argon2Hash is an argon2id or argon2i hash of version 1.3 (RFC 9106).
type argon2Hash struct {
	id     bool // argon2id, else argon2i
	memory uint32
	passes uint32
	lanes  uint8
	salt   []byte
	sum    []byte
}

func ownArgon2(salt []byte) *argon2Hash {
	return &argon2Hash{id: true, memory: ownMemory, passes: ownPasses, lanes: ownLanes, salt: salt}
}

func (a *argon2Hash) cost() cost { return cost{memory: int64(a.memory) << 10, cpus: int(a.lanes)} }

func (a *argon2Hash) derive(pw string, size uint32) []byte {
	text := []byte(normal(pw))
	if a.id {
		return argon2.IDKey(text, a.salt, a.passes, a.memory, a.lanes, size)
	}
	return argon2.Key(text, a.salt, a.passes, a.memory, a.lanes, size)
}

func (a *argon2Hash) matches(pw string) bool {
	return subtle.ConstantTimeCompare(a.derive(pw, uint32(len(a.sum))), a.sum) == 1
}

func (a *argon2Hash) outdated() bool {
	return !a.id || a.memory < ownMemory || a.passes < ownPasses || len(a.salt) < saltBytes || len(a.sum) < sumBytes
}

// String is the PHC string format of the reference implementation.
func (a *argon2Hash) String() string {
	kind := "argon2i"
	if a.id {
		kind = "argon2id"
	}
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", kind, argon2.Version, a.memory, a.passes, a.lanes,
		base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.sum))
}

func parseArgon2(encoded string) (hash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 {
		return nil, errors.New("it needs version, parameters, salt and hash")
	}
	if parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, fmt.Errorf("only version %d is supported", argon2.Version)
	}
	p, err := params(parts[3], "m", "t", "p")
	if err != nil {
		return nil, err
	}
	m, t, lanes := p["m"], p["t"], p["p"]
	switch {
	case lanes < 1 || lanes > maxLanes:
		return nil, fmt.Errorf("p must be 1 to %d", maxLanes)
	case m < 8*lanes || m > maxMemory:
		return nil, fmt.Errorf("m must be 8 per lane to %d", maxMemory)
	case t < 1 || t > maxPasses || t*m > maxMemoryReads:
		return nil, fmt.Errorf("t must be 1 to %d, and t times m at most %d", maxPasses, maxMemoryReads)
	}
	a := &argon2Hash{id: parts[1] == "argon2id", memory: uint32(m), passes: uint32(t), lanes: uint8(lanes)}
	a.salt, a.sum, err = saltAndSum(parts[4], parts[5])
	return a, err
}
