package main

import (
	"regexp"
	"strings"
)

// word is something that this repository does not say, and what it says instead.
type word struct {
	avoid *regexp.Regexp
	// unless is what may follow: a match that begins with it is an honest use.
	unless *regexp.Regexp
	use    string
}

// list is the vocabulary's negative: each line has the words to avoid, the field's word,
// and where necessary what makes a use honest. CONTRIBUTING.md explains it. A space stands
// for any white space, so that a line break inside a comment hides nothing. Identifiers are
// read as words: lookAgain is "look again".
func list() []word {
	return []word{
		avoid(`look(s|ed|ing)?( at \w+)? again|looked at again`, "requeue, reconcile again"),
		avoid(`(a|one|each|every|the|first|next|last|any|this|per|same|whole|long|in) look|looks? at a job`, "a reconcile, a pass"),
		avoid(`look(s|ed|ing)?`, "reconcile, pass, check, poll", `((them|it|each|one) )?(up|like|for|at|as|into|closer|out)\b`),
		avoid(`(tells?|told|telling) (whether|if|how|what|when|why|which|who|of|that|about)`, "report, say, record"),
		avoid(`(is|are|be|was|were|been) told (once|twice|again|in|only|at|by|as|so)`, "is emitted, is recorded"),
		avoid(`settle(s|d|ment)?|settling`, "conclude; be stable"),
		avoid(`(dis)?prove[sdn]?|(dis)?proving|proofs?`, "verify, verified, check"),
		avoid(`carr(y|ies|ied|ying) out`, "execute, run"),
		avoid(`anew`, "again"),
		avoid(`mend(s|ed|ing)?`, "fix"),
		avoid(`for ever`, "forever, permanently"),
		avoid(`nobody`, "no one; say who does not"),
		avoid(`somebody`, "someone, another client; say who"),
		avoid(`anybody|everybody`, "anyone, everyone"),
		avoid(`further objects?`, "owned objects"),
		avoid(`affairs?`, "concern"),
		avoid(`(is|are|was|were|do|does|exists?) no more`, "no longer", `(\w+ ){0,2}than\b`),
		avoid(`(is|are|was|were) there`, "exists", `(a|an|any|no|one|something|anything)\b`),
		avoid(`be rid of`, "remove, avoid"),
		avoid(`shall`, "must, should, will"),
		avoid(`heed(s|ed|ing)?`, "respect, follow"),
		avoid(`strays?`, "unexpected pods"),
		avoid(`verdicts?`, "outcome, decision"),
		avoid(`lest|thereof|therein|hitherto|thereby|wherein`, "plain modern English"),
	}
}

func avoid(words, use string, unless ...string) word {
	w := word{avoid: regexp.MustCompile(`(?i)\b(` + spaced(words) + `)\b`), use: use}
	if len(unless) > 0 {
		w.unless = regexp.MustCompile(`(?i)^\s*` + spaced(unless[0]))
	}
	return w
}

func spaced(words string) string { return strings.ReplaceAll(words, " ", `\s+`) }
