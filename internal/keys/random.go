package keys

import "io"

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// random returns n characters of the alphabet, each equally likely. A source
// of randomness that fails is a panic: nothing safe can follow it.
func random(source io.Reader, n int) string {
	const even = 256 - 256%len(alphabet) // bytes from here on would favour the first characters
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		if _, err := io.ReadFull(source, buf); err != nil {
			panic("keys: no randomness: " + err.Error())
		}
		for _, b := range buf {
			if int(b) < even && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
