package password

import (
	_ "embed" // common.txt
	"math"
	"strings"
	"unicode"
)

// common holds the words that bad passwords are made of, one to three in each:
// not a dictionary, or passphrases of unusual words would be refused.
//
//go:embed common.txt
var common string

// The price of what a password is made of, in characters that a guesser would
// have to find: guessers try words, years and runs before anything else.
const (
	wordPrice    = 2.0
	patternPrice = 1.5
	freePrice    = 1.0
	signPrice    = 0.5 // a separator or sign, of which people use few
	cheap        = 7.0 // at most this much is guessable
	longestCheap = 128 // characters; three long words fit, and the search stays short
)

// guessable reports whether a password is one of those that are tried first:
// if more than half of it are well-known words, words about its user, years,
// keyboard runs and repetitions, and what it is made of is worth no more than
// seven random characters. This is the idea of zxcvbn (Wheeler, USENIX Security
// 2016) with a small list: the cheapest way to put the password together.
func guessable(pw string, about []string) bool {
	text := []rune(strings.ToLower(pw))
	if unit := period(text); unit < len(text) {
		text = text[:unit] // repeating it adds nothing
		if len(text) < 4 {
			return true
		}
	}
	if len(text) > longestCheap {
		return false
	}
	words := wordList(about)
	spellings := [][]rune{text, substituted(text, 'i'), substituted(text, 'l')}

	// best[i] is the cheapest way to make the first i characters.
	type way struct {
		price float64
		known int // characters that are not free
	}
	best := make([]way, len(text)+1)
	for i := range text {
		best[i+1] = way{price: math.Inf(1)}
	}
	for i := range text {
		offer := func(n int, price float64, known bool) {
			w := way{best[i].price + price, best[i].known}
			if known {
				w.known += n
			}
			if at := &best[i+n]; w.price < at.price || w.price == at.price && w.known > at.known {
				*at = w
			}
		}
		if unicode.IsLetter(text[i]) || unicode.IsDigit(text[i]) {
			offer(1, freePrice, false)
		} else {
			offer(1, signPrice, false)
		}
		for n := minPattern; n <= runLength(text[i:]); n++ {
			offer(n, patternPrice, true)
		}
		if isYear(text[i:]) {
			offer(yearDigits, patternPrice, true)
		}
		for _, spelling := range spellings {
			for n := minWord; n <= min(words.longest, len(text)-i); n++ {
				if words.has[string(spelling[i:i+n])] {
					offer(n, wordPrice, true)
				}
			}
		}
	}
	end := best[len(text)]
	return 2*end.known > len(text) && end.price <= cheap
}

const (
	minWord    = 3
	minPattern = 3 // of a run or a repetition
	yearDigits = 4
)

type wordSet struct {
	has     map[string]bool
	longest int
}

// wordList is the common words and the parts of what is about the user.
func wordList(about []string) wordSet {
	set := wordSet{has: map[string]bool{}}
	add := func(word string) {
		const longest = 64 // nothing longer is worth the search
		if n := len([]rune(word)); n >= minWord && n <= longest {
			set.has[word] = true
			set.longest = max(set.longest, n)
		}
	}
	for line := range strings.Lines(common) {
		if !strings.HasPrefix(line, "#") {
			for word := range strings.FieldsSeq(line) {
				add(word)
			}
		}
	}
	for _, text := range about {
		text = strings.ToLower(normal(text[:min(len(text), MaxBytes)]))
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '@' || unicode.IsSpace(r) }) {
			add(word)
		}
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			add(word)
		}
	}
	return set
}

// substituted undoes the usual substitutions of letters; one is what 1 and !
// stand for.
func substituted(text []rune, one rune) []rune {
	letters := map[rune]rune{'@': 'a', '4': 'a', '8': 'b', '3': 'e', '6': 'g', '1': one, '!': one, '|': one, '0': 'o', '5': 's', '$': 's', '7': 't', '+': 't', '2': 'z'}
	out := make([]rune, len(text))
	for i, r := range text {
		out[i] = r
		if letter, ok := letters[r]; ok {
			out[i] = letter
		}
	}
	return out
}

// period is the length of the shortest unit that text repeats, perhaps with the
// last one cut short; len(text) if it does not. It is the failure function of
// Knuth, Morris and Pratt.
func period(text []rune) int {
	fail := make([]int, len(text)+1)
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = fail[k]
		}
		if text[i] == text[k] {
			k++
		}
		fail[i+1] = k
	}
	unit := len(text) - fail[len(text)]
	if 2*unit > len(text) {
		return len(text)
	}
	return unit
}

// runLength is how many characters from the start are one run: the same
// character, neighbours in the alphabet or among the digits, or on a keyboard,
// in either direction.
func runLength(text []rune) int {
	longest := 1
	for _, step := range []rune{-1, 0, 1} {
		n := 1
		for n < len(text) && text[n]-text[n-1] == step {
			n++
		}
		longest = max(longest, n)
	}
	const rows = "1234567890 0987654321 qwertyuiop poiuytrewq asdfghjkl lkjhgfdsa zxcvbnm mnbvcxz" +
		" qwertzuiop poiuztrewq yxcvbnm mnbvcxy azertyuiop poiuytreza qsdfghjklm mlkjhgfdsq" +
		" 1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p 1q2w3e4r5t6y7u8i9o0p qazwsxedcrfvtgbyhnujmikolp !@#$%^&*()"
	for row := range strings.FieldsSeq(rows) {
		for n := longest + 1; n <= len(text) && strings.Contains(row, string(text[:n])); n++ {
			longest = n
		}
	}
	return longest
}

// isYear reports whether text starts with a year that people put into passwords.
func isYear(text []rune) bool {
	if len(text) < yearDigits {
		return false
	}
	century := string(text[:2])
	return (century == "19" || century == "20") && unicode.IsDigit(text[2]) && unicode.IsDigit(text[3])
}
