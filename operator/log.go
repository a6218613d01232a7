package operator

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
)

// logOptions are the flags of the log. They have the names that operators made with
// controller-runtime use, so that manifests need not change.
type logOptions struct {
	level   logLevel
	devel   bool
	encoder string
}

func (o *logOptions) flags(f *flag.FlagSet) {
	f.Var(&o.level, "zap-log-level", "the `level` of the log: error, info, debug, or a number, of which higher ones say more (default info)")
	f.StringVar(&o.encoder, "zap-encoder", "", "the `format` of the log: json or console (default json)")
	f.BoolVar(&o.devel, "zap-devel", false, "log for developers: level debug, format console")
}

// logger is the one logger of the process.
func (o *logOptions) logger(out io.Writer) (logr.Logger, error) {
	options := &slog.HandlerOptions{Level: o.level.slog(o.devel)}
	switch {
	case o.encoder == "json", o.encoder == "" && !o.devel:
		return logr.FromSlogHandler(slog.NewJSONHandler(out, options)), nil
	case o.encoder == "console", o.encoder == "":
		return logr.FromSlogHandler(slog.NewTextHandler(out, options)), nil
	default:
		return logr.Logger{}, fmt.Errorf("--zap-encoder is %q: use json or console", o.encoder)
	}
}

// logLevel is a flag: how much is logged, as logr counts it.
type logLevel struct {
	set  bool
	logr int
}

// String implements flag.Value.
func (l *logLevel) String() string {
	if !l.set {
		return ""
	}
	return strconv.Itoa(l.logr)
}

// Set implements flag.Value.
func (l *logLevel) Set(value string) error {
	named := map[string]int{"debug": 1, "info": 0, "warn": -1, "error": -2, "dpanic": -2, "panic": -2, "fatal": -2}
	n, ok := named[strings.ToLower(value)]
	if !ok {
		var err error
		if n, err = strconv.Atoi(value); err != nil || n < 0 {
			return fmt.Errorf("%q is not a level: use error, info, debug, or a number from 0", value)
		}
	}
	l.set, l.logr = true, n
	return nil
}

// slog is the level as package slog counts it: logr's V(n) is -n there, and errors
// are 8.
func (l *logLevel) slog(devel bool) slog.Level {
	switch {
	case !l.set && devel:
		return slog.Level(-1) // logr's V(1)
	case l.logr == -1:
		return slog.LevelWarn
	case l.logr < -1:
		return slog.LevelError
	default:
		return slog.Level(-l.logr)
	}
}
