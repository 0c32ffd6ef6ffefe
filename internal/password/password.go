// Package password hashes and checks passwords.
//
// Passwords are hashed with argon2id and kept as PHC strings that carry their
// parameters. Hashes of other systems (bcrypt, scrypt, PBKDF2, argon2) verify
// too and are reported for a rehash. Hashing is expensive on purpose: a
// [Hasher] lets only so many run at once, in the order of their coming, and
// says that it is overloaded instead of piling up work.
//
// A password is text: NFC (as RFC 8265 section 4.2 has it, so that the same
// password typed on two systems is the same) before it is hashed. NFKC would
// make different passwords equal. 1 to 1024 bytes are accepted, of which all
// count.
package password

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pandobase/pando/internal/fault"
)

// MaxBytes is the longest password, in bytes of UTF-8 as it was sent. NIST SP
// 800-63B-4 wants at least 64 characters to be possible.
const MaxBytes = 1024

// The defaults of [Config].
const (
	DefaultMemory = 128 << 20
	DefaultWait   = 5 * time.Second
	queuePerSlot  = 256 // at 40 hashes a second and core, more than fit into the default wait
)

// Config configures a [Hasher].
type Config struct {
	// Memory is how many bytes all running hashes take together; default 128 MiB.
	// A hash that needs more runs alone. What the garbage collector has not
	// freed yet comes on top.
	Memory int64
	// Concurrency is how many CPUs hashes keep busy at once; default half of
	// them, at least 1, so that a flood of logins leaves the others to everybody
	// else. Imported argon2 hashes can take more for a moment: their lanes.
	Concurrency int
	// Wait is how long a hash waits for its turn; default 5 s.
	Wait time.Duration
	// Queue is how many hashes wait at most; default 256 for each that may run.
	Queue int
	// Random is where salts come from; default crypto/rand.
	Random io.Reader
	// Worker makes the command of a process that runs [Work]: hashes are computed
	// there and at the lowest priority, so that they hold nobody up. It is
	// started when it is needed. nil, or a command that does not start: they are
	// computed in this process.
	Worker func() *exec.Cmd
	// Log is told of a worker that fails; default: nobody is.
	Log *slog.Logger
}

// Hasher hashes and verifies passwords within bounds. It is safe for concurrent
// use. One with a worker is closed at the end.
//
// Each method may answer with [fault.Overloaded] (503 with a Retry-After) when
// its turn does not come in time or too many wait, and with
// [fault.QueryCanceled] when ctx ends before its turn. A hash that has begun
// runs to its end.
type Hasher struct {
	turns  *turns
	random io.Reader
	worker *worker // nil: none
	log    *slog.Logger
}

// New returns a hasher.
func New(cfg Config) *Hasher {
	if cfg.Memory <= 0 {
		cfg.Memory = DefaultMemory
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Wait <= 0 {
		cfg.Wait = DefaultWait
	}
	if cfg.Queue <= 0 {
		cfg.Queue = queuePerSlot * cfg.Concurrency
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hasher{
		turns:  newTurns(cost{cfg.Memory, cfg.Concurrency}, cfg.Queue, cfg.Wait),
		random: cfg.Random,
		log:    cfg.Log,
	}
	if cfg.Worker != nil {
		h.worker = &worker{command: cfg.Worker, log: cfg.Log}
	}
	return h
}

// Close ends the worker. Hashes that come later are computed in this process.
func (h *Hasher) Close() {
	if h.worker != nil {
		h.worker.close()
	}
}

// compute does the work of a job, whose turn has come.
func (h *Hasher) compute(j job) result {
	if h.worker != nil {
		r, err := h.worker.do(j)
		if err == nil {
			return r
		}
		h.log.Warn("passwords are hashed in the node's own process", "error", err)
	}
	return j.run()
}

// Hash returns the argon2id PHC string of a password with a new salt. A password
// that is empty, longer than [MaxBytes] or no valid UTF-8 is
// [fault.AuthValidation]; whether it is good enough is for [Check].
func (h *Hasher) Hash(ctx context.Context, pw string) (string, error) {
	if err := valid(pw); err != nil {
		return "", err
	}
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(h.random, salt); err != nil {
		return "", fmt.Errorf("read random bytes for a salt: %w", err)
	}
	hash := ownArgon2(salt)
	if err := h.turns.take(ctx, hash.cost()); err != nil {
		return "", err
	}
	defer h.turns.give(hash.cost())
	hash.sum = h.compute(job{Salt: salt, Password: []byte(pw)}).Sum
	return hash.String(), nil
}

// Verify reports whether a password is the one that encoded was made of, and
// whether encoded should be replaced by a new hash of it: it is another
// system's, or weaker than what [Hasher.Hash] makes now. An empty encoded stands
// for an account without password: the work is done as for one with, the answer
// is no. A password that no hash can be of costs nothing and is never right;
// that is the same with every account. An encoded that is none of the known
// forms is [fault.Internal]; [Importable] would have refused it.
//
// The time of the work depends on the form and parameters of encoded alone. A
// hash of another system takes another time than [Hasher.Dummy] until its user
// signs in for the first time.
func (h *Hasher) Verify(ctx context.Context, encoded, pw string) (ok, rehash bool, err error) {
	if encoded == "" {
		return false, false, h.Dummy(ctx, pw)
	}
	if valid(pw) != nil {
		return false, false, nil
	}
	hash, err := parse(encoded)
	if err != nil {
		return false, false, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	if err := h.turns.take(ctx, hash.cost()); err != nil {
		return false, false, err
	}
	defer h.turns.give(hash.cost())
	if !h.compute(job{Encoded: encoded, Password: []byte(pw)}).Match {
		return false, false, nil
	}
	return true, hash.outdated(), nil
}

// Dummy does the work of a Verify with a hash of our own, through the same
// queue, and with no result: for accounts that do not exist, so that the time of
// the answer does not tell.
func (h *Hasher) Dummy(ctx context.Context, pw string) error {
	if valid(pw) != nil {
		return nil
	}
	hash := dummy()
	if err := h.turns.take(ctx, hash.cost()); err != nil {
		return err
	}
	defer h.turns.give(hash.cost())
	h.compute(job{Encoded: hash.String(), Password: []byte(pw)})
	return nil
}

// dummy is a hash of our own that no password has.
func dummy() *argon2Hash {
	hash := ownArgon2(make([]byte, saltBytes))
	hash.sum = make([]byte, sumBytes)
	return hash
}

// Importable reports whether [Hasher.Verify] can check passwords against
// encoded: its form is known and its parameters are within bounds, so that no
// imported hash takes more than 128 MiB or some seconds of one CPU.
func Importable(encoded string) bool {
	_, err := parse(encoded)
	return err == nil
}

// valid says why a text cannot be a password. Length comes first: it is the only
// test that costs the same however long the text is.
func valid(pw string) error {
	switch {
	case len(pw) > MaxBytes:
		return fault.New(fault.AuthValidation, "the password is longer than %d bytes", MaxBytes)
	case pw == "":
		return fault.New(fault.AuthValidation, "the password is empty")
	case !utf8.ValidString(pw):
		return fault.New(fault.AuthValidation, "the password is not valid UTF-8")
	}
	return nil
}

// normal is the form of a password that is hashed and counted.
func normal(pw string) string { return norm.NFC.String(pw) }

// hash is one parsed hash. The forms are in argon2.go and foreign.go.
type hash interface {
	// cost is what matches takes while it runs.
	cost() cost
	// matches compares in a time that does not depend on where a difference is.
	matches(pw string) bool
	// outdated reports whether a new hash should replace it.
	outdated() bool
}

// parse reads an encoded hash. Its errors never hold any part of it.
func parse(encoded string) (hash, error) {
	const longest = 1024 // Firebase's, with its key, is about 300
	if len(encoded) > longest {
		return nil, fmt.Errorf("the password hash is longer than %d bytes", longest)
	}
	for _, form := range forms() {
		if strings.HasPrefix(encoded, form.prefix) {
			h, err := form.parse(encoded)
			if err != nil {
				return nil, fmt.Errorf("the password hash is not valid %s: %w", form.name, err)
			}
			return h, nil
		}
	}
	return nil, fmt.Errorf("the password hash has no known form: argon2id, argon2i, bcrypt, scrypt, Firebase's scrypt or PBKDF2")
}

type form struct {
	name, prefix string
	parse        func(string) (hash, error)
}

func forms() []form {
	return []form{
		{"argon2id", "$argon2id$", parseArgon2},
		{"argon2i", "$argon2i$", parseArgon2},
		{"bcrypt", "$2a$", parseBcrypt},
		{"bcrypt", "$2b$", parseBcrypt},
		{"bcrypt", "$2y$", parseBcrypt},
		{"scrypt", "$scrypt$", parseScrypt},
		{"Firebase's scrypt", "$fbscrypt$", parseFirebase},
		{"PBKDF2", "$pbkdf2-sha256$", parsePBKDF2},
		{"PBKDF2", "$pbkdf2-sha512$", parsePBKDF2},
		{"Django's PBKDF2", "pbkdf2_sha256$", parseDjango},
	}
}
