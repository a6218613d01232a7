package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/ui"
)

const uiHelp = `Serve a page on this machine that shows all jobs of all kinds, live, and what happens
next in each; suspend, resume, restart and delete jobs there. It uses your kubeconfig, and
you can see and do there what you may with kubectl, no more.

It listens on 127.0.0.1 only, and shows nothing to a browser that has not opened an address
which this command has printed. Each address works once: press Enter for another one.`

// uiCommand is jobkit ui.
func (a *app) uiCommand() *cobra.Command {
	var (
		f clusterFlags
		o ui.Options
		k kindFlag
	)
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "see and steer jobs in a browser",
		Long:  uiHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const highest = 65535
			if o.Port < 0 || o.Port > highest {
				return withCode(exitRefused, fmt.Errorf("--port is %d: it must be from 0 to %d", o.Port, highest))
			}
			var err error
			if o.Kinds, _, err = k.read(); err != nil {
				return withCode(exitRefused, err)
			}
			client, err := f.Connect(cmd.Context(), a.streams.Err)
			if err != nil {
				return withCode(exitRefused, err)
			}
			o.Namespace, o.Cluster = f.Namespace, client.Config.Host
			return withCode(exitFailed, ui.Serve(cmd.Context(), client, o, a.streams))
		},
	}
	f.addTo(cmd, false)
	cmd.Flags().StringVarP(&f.Namespace, "namespace", "n", "", "`namespace` of the jobs (default all, if you may see those)")
	cmd.Flags().IntVar(&o.Port, "port", 0, "`port` to listen on, at 127.0.0.1 (default a free one)")
	cmd.Flags().BoolVar(&o.ReadOnly, "read-only", false, "show jobs, and change none")
	k.addTo(cmd)
	return cmd
}
