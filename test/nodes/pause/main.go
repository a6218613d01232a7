// Command pause holds the namespaces of a pod on a test's nodes, as the program of that
// name in every cluster does: it waits until it is asked to end, and reaps processes whose
// parent has ended.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop, ended := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		select {
		case <-stop:
			return
		case <-ended:
			for pid := 1; pid > 0; {
				pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			}
		}
	}
}
