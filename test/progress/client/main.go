// Command client reports progress as training code does. It uses nothing but the three variables
// of the protocol, and the standard library.
//
//	client PERCENT
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := report(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to clean up
	}
}

// report sends one report and prints the answer.
func report(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: client PERCENT")
	}
	percent, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("usage: client PERCENT: %w", err)
	}
	certificates, err := os.ReadFile(os.Getenv("KUBEFLOW_TRAINER_SERVER_CA_CERT"))
	if err != nil {
		return fmt.Errorf("cannot read the certificates: %w", err)
	}
	token, err := os.ReadFile(os.Getenv("KUBEFLOW_TRAINER_SERVER_TOKEN"))
	if err != nil {
		return fmt.Errorf("cannot read the token: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificates) {
		return errors.New("KUBEFLOW_TRAINER_SERVER_CA_CERT names a file without a certificate")
	}
	body, err := json.Marshal(map[string]any{"trainerStatus": map[string]any{
		"progressPercentage": percent, "estimatedRemainingSeconds": 100 - percent,
		"metrics":         []map[string]string{{"name": "loss", "value": "0.25"}},
		"lastUpdatedTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000+00:00"),
	}})
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return post(ctx, roots, string(bytes.TrimSpace(token)), body)
}

// post sends a report.
func post(ctx context.Context, roots *x509.CertPool, token string, body []byte) error {
	url := os.Getenv("KUBEFLOW_TRAINER_SERVER_URL")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body)) //nolint:gosec // the protocol says so
	if err != nil {
		return fmt.Errorf("cannot report: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "bearer "+token) // the scheme in any case
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	resp, err := client.Do(req) //nolint:gosec // the protocol says so
	if err != nil {
		return fmt.Errorf("cannot report: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	fmt.Fprintf(os.Stdout, "%d %s", resp.StatusCode, answer)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil
}
