// Package crdrules completes the CustomResourceDefinition of a job kind with what follows from
// its [jobkit.Kind]: rules by which the API server refuses a mistake at once, with a message
// that says how to fix it. So the kind is said once, in Go, and admission, defaults and the
// controller agree.
//
// Call it after controller-gen, in a program of a few lines that "make generate" runs:
//
//	func main() {
//		kind := simjob.Controller{}.Kind()
//		err := crdrules.CompleteFile("config/crd/sim.example.com_simjobs.yaml", kind, crdrules.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//	}
//
// These are the rules:
//
//   - the name of the job: pods and services are named after it
//   - the replica types: those of the kind, spelled as the kind spells them; the required ones
//   - the number of replicas of each type, and that a new job has some
//   - the main container, unless the kind takes any
//   - labels that the controller sets, start orders that never start, success policies that
//     never hold, volume claims where the kind has none
//   - that host ports do not change
//
// A pod template may have 256 containers then, so that the rules stay cheap enough for the API
// server. A kind can have ten replica types.
//
// Replica specs may be a map, a field for each role, or a list ([jobkit.Role].Field). A list has a
// bound then: as many entries as roles, and one more if they have names.
//
// Rules that the types have by their own markers stay. Completing a definition twice changes
// nothing.
package crdrules
