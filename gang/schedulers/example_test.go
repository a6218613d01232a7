package schedulers_test

import (
	"fmt"

	"github.com/jobkit/jobkit/gang/schedulers"
)

// How does a flag choose the gang scheduler?
func ExampleByName() {
	for _, name := range []string{"kubernetes", "volcano", "my-scheduler", "none"} {
		fmt.Println(schedulers.ByName(name, schedulers.Options{}))
	}
	// Output:
	// kubernetes
	// volcano
	// my-scheduler
	// <nil>
}
