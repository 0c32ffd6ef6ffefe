package rest

// stripNulls returns a JSON text without the members whose value is null, at
// every depth, as PostgreSQL's json_strip_nulls: elements of arrays stay. src
// must be well-formed; it is not changed.
func stripNulls(src []byte) []byte {
	st := stripper{src: src, dst: make([]byte, 0, len(src))}
	st.value()
	return st.dst
}

type stripper struct {
	src, dst []byte
	pos      int
}

func (st *stripper) value() {
	st.space()
	switch st.src[st.pos] {
	case '{':
		st.object()
	case '[':
		st.array()
	default:
		st.dst = append(st.dst, st.scalar()...)
	}
	st.space()
}

func (st *stripper) space() {
	for st.pos < len(st.src) && (st.src[st.pos] == ' ' || st.src[st.pos] == '\n' || st.src[st.pos] == '\t' || st.src[st.pos] == '\r') {
		st.pos++
	}
}

// scalar passes over a string or a bare word and returns it.
func (st *stripper) scalar() []byte {
	start := st.pos
	if st.src[st.pos] == '"' {
		for st.pos++; st.src[st.pos] != '"'; st.pos++ {
			if st.src[st.pos] == '\\' {
				st.pos++
			}
		}
		st.pos++
		return st.src[start:st.pos]
	}
	for st.pos < len(st.src) {
		switch st.src[st.pos] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return st.src[start:st.pos]
		}
		st.pos++
	}
	return st.src[start:]
}

func (st *stripper) object() {
	st.dst = append(st.dst, '{')
	first := true
	for st.src[st.pos] != '}' {
		st.pos++ // the brace or the comma
		if st.space(); st.src[st.pos] == '}' {
			break
		}
		key := st.scalar()
		st.space()
		st.pos++ // the colon
		st.space()
		if st.src[st.pos] == 'n' {
			st.scalar()
			st.space()
			continue
		}
		if !first {
			st.dst = append(st.dst, ',')
		}
		first = false
		st.dst = append(append(st.dst, key...), ':')
		st.value()
	}
	st.pos++
	st.dst = append(st.dst, '}')
}

func (st *stripper) array() {
	st.dst = append(st.dst, '[')
	for st.src[st.pos] != ']' {
		if st.src[st.pos] == ',' {
			st.dst = append(st.dst, ',')
		}
		st.pos++ // the bracket or the comma
		if st.space(); st.src[st.pos] == ']' {
			break
		}
		st.value()
	}
	st.pos++
	st.dst = append(st.dst, ']')
}
