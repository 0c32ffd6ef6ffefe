package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// params reads the parameters of a PHC string, like "m=19456,t=2,p=1": each
// name once, all of them, and no other. Values are below 2^31.
func params(text string, names ...string) (map[string]int, error) {
	found := map[string]int{}
	for pair := range strings.SplitSeq(text, ",") {
		name, digits, _ := strings.Cut(pair, "=")
		if _, twice := found[name]; twice || !slices.Contains(names, name) {
			return nil, fmt.Errorf("its parameters must be %s, each once", strings.Join(names, ", "))
		}
		n, err := number(digits)
		if err != nil {
			return nil, fmt.Errorf("the parameter %s %w", name, err)
		}
		found[name] = n
	}
	if len(found) != len(names) {
		return nil, fmt.Errorf("its parameters must be %s, each once", strings.Join(names, ", "))
	}
	return found, nil
}

// number reads decimal digits below 2^31, without sign.
func number(digits string) (int, error) {
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0, errors.New("is no number below 2^31") // without the text: it may be of a secret
	}
	return int(n), nil
}

// saltAndSum reads the last two parts of a PHC string.
func saltAndSum(salt, sum string) (s, h []byte, err error) {
	if s, err = decode(salt); err != nil || len(s) < minSalt || len(s) > maxSalt {
		return nil, nil, fmt.Errorf("the salt must be %d to %d bytes in base64", minSalt, maxSalt)
	}
	h, err = decodeSum(sum)
	return s, h, err
}

func decodeSum(sum string) ([]byte, error) {
	h, err := decode(sum)
	if err != nil || len(h) < minSum || len(h) > maxSum {
		return nil, fmt.Errorf("the hash must be %d to %d bytes in base64", minSum, maxSum)
	}
	return h, nil
}

// decode reads base64 with or without padding, also with the dot that passlib
// writes for the plus. It refuses line breaks, which the standard library skips.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line break in base64")
	}
	text = strings.ReplaceAll(strings.TrimRight(text, "="), ".", "+")
	return base64.RawStdEncoding.DecodeString(text)
}
