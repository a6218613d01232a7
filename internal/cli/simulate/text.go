package simulate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ranges names replicas in few words: "master-0, worker-0…3".
func ranges(names []string) string {
	type replica struct {
		typ   string
		index int
	}
	var all []replica
	for _, n := range names {
		cut := strings.LastIndexByte(n, '-')
		index, err := strconv.Atoi(n[cut+1:])
		if cut < 0 || err != nil {
			all = append(all, replica{n, -1})
			continue
		}
		all = append(all, replica{n[:cut], index})
	}
	slices.SortStableFunc(all, func(a, b replica) int { return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.index, b.index)) })
	var parts []string
	for i := 0; i < len(all); {
		last := i
		for last+1 < len(all) && all[last+1].typ == all[i].typ && all[last+1].index == all[last].index+1 {
			last++
		}
		switch {
		case all[i].index < 0:
			parts = append(parts, all[i].typ)
		case last == i:
			parts = append(parts, all[i].typ+"-"+strconv.Itoa(all[i].index))
		default:
			parts = append(parts, all[i].typ+"-"+strconv.Itoa(all[i].index)+"…"+strconv.Itoa(all[last].index))
		}
		i = last + 1
	}
	return strings.Join(parts, ", ")
}
