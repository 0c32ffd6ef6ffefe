package password

func guessable(pw string, about []string) bool {
	for _, w := range about {
		if w == pw {
			return true
		}
	}
	return false
}
