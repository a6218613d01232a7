//go:build linux

package nodes

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// The images of the containers. No registry has them.
const (
	PauseImage   = "localhost/jobkit/pause:test"
	ProgramImage = "localhost/jobkit/program:test"
	KubectlImage = "localhost/jobkit/kubectl-delivery:test"
	// TrainingImage is everything but /usr, which is mounted: nothing has to be packed.
	TrainingImage = "localhost/jobkit/training:test"
)

// image is a container image of one layer.
type image struct {
	name string
	// files are paths in the image, and where each comes from.
	files map[string]string
	// links are paths in the image, and what each links to.
	links      map[string]string
	entrypoint []string
	env        []string
}

// images are those of a run.
func images(b *Binaries) ([]image, error) {
	shell := map[string]string{}
	for _, applet := range []string{"sh", "sleep", "cat", "cp", "nc", "seq", "grep", "nslookup"} {
		shell["bin/"+applet] = "busybox"
	}
	all := []image{
		{name: PauseImage, files: map[string]string{"pause": b.Pause}, entrypoint: []string{"/pause"}},
		{
			name: ProgramImage, files: map[string]string{"bin/busybox": b.Busybox, "bin/program": b.Program}, links: shell,
			entrypoint: []string{"/bin/program"},
		},
		{
			name: KubectlImage, files: map[string]string{"bin/busybox": b.Busybox, "bin/kubectl": b.Kubectl}, links: shell,
			entrypoint: []string{"/bin/sh", "-c", `cp /bin/kubectl "$TARGET_DIR/kubectl"`},
		},
	}
	if b.Training == "" {
		return all, nil
	}
	training, err := trainingImage(b)
	return append(all, training), err
}

// trainingImage has what packages do not have in /usr, and the programs.
func trainingImage(b *Binaries) (image, error) {
	i := image{
		name: TrainingImage, entrypoint: []string{"/bin/python3"},
		links: map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"},
		files: map[string]string{
			"etc/passwd":        filepath.Join(b.Training, "usr/share/base-passwd/passwd.master"),
			"etc/nsswitch.conf": filepath.Join(b.Training, "usr/share/libc-bin/nsswitch.conf"),
		},
	}
	for dir, pattern := range map[string]string{
		"etc/openmpi": filepath.Join(b.Training, "etc/openmpi/*"), "opt": filepath.Join(b.Programs, "*.py"),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			return i, fmt.Errorf("cannot find %s: %w", pattern, err)
		}
		for _, file := range files {
			i.files[dir+"/"+filepath.Base(file)] = file
		}
	}
	algebra, err := filepath.Glob(filepath.Join(b.Training, "usr/lib/*/openblas-pthread"))
	if err != nil || len(algebra) != 1 {
		return i, fmt.Errorf("cannot find the library for linear algebra in %s: %v, %w", b.Training, algebra, err)
	}
	i.env = []string{"LD_LIBRARY_PATH=" + strings.TrimPrefix(algebra[0], b.Training)}
	return i, nil
}

// descriptor, config, manifest and index are those of the OCI image format.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
}

const mediaTypes = "application/vnd.oci.image."

// write writes the image as an OCI archive.
func (i image) write(w io.Writer) error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	config := map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": i.entrypoint, "Env": append([]string{"PATH=/bin"}, i.env...)},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	}
	archive := archive{Writer: tar.NewWriter(w)}
	layers := []descriptor{archive.blob("layer.v1.tar", layer)}
	configured := archive.json("config.v1+json", config)
	described := archive.json("manifest.v1+json", manifest{SchemaVersion: 2, MediaType: mediaTypes + "manifest.v1+json", Config: &configured, Layers: layers})
	described.Annotations = map[string]string{"io.containerd.image.name": i.name, "org.opencontainers.image.ref.name": i.name}
	index, err := json.Marshal(manifest{SchemaVersion: 2, Manifests: []descriptor{described}})
	if err != nil {
		return fmt.Errorf("cannot encode the index of %s: %w", i.name, err)
	}
	archive.file("index.json", 0o644, index)
	archive.file("oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if archive.err == nil {
		archive.err = archive.Close()
	}
	if archive.err != nil {
		return fmt.Errorf("cannot write the image %s: %w", i.name, archive.err)
	}
	return nil
}

// layer is the root file system.
func (i image) layer() ([]byte, error) {
	var layer bytes.Buffer
	t := archive{Writer: tar.NewWriter(&layer)}
	dirs := map[string]bool{"tmp": true, "dev": true, "proc": true, "sys": true, "etc": true}
	for name := range i.files {
		if dir := path.Dir(name); dir != "." {
			dirs[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		t.header(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755})
	}
	for name, source := range i.files {
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, fmt.Errorf("cannot read what belongs into the image %s: %w", i.name, err)
		}
		t.file(name, 0o755, data)
	}
	for name, target := range i.links {
		t.header(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777})
	}
	if t.err == nil {
		t.err = t.Close()
	}
	if t.err != nil {
		return nil, fmt.Errorf("cannot pack the image %s: %w", i.name, t.err)
	}
	return layer.Bytes(), nil
}

// archive is a tar file that remembers its first error.
type archive struct {
	*tar.Writer

	err error
}

func (a *archive) header(h *tar.Header) {
	if a.err == nil {
		a.err = a.WriteHeader(h)
	}
}

func (a *archive) file(name string, mode int64, data []byte) {
	a.header(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(data))})
	if a.err == nil {
		_, a.err = a.Write(data)
	}
}

func (a *archive) blob(mediaType string, data []byte) descriptor {
	sum := digest(data)
	a.file("blobs/sha256/"+sum[len("sha256:"):], 0o644, data)
	return descriptor{MediaType: mediaTypes + mediaType, Digest: sum, Size: len(data)}
}

func (a *archive) json(mediaType string, value any) descriptor {
	data, err := json.Marshal(value)
	if a.err == nil {
		a.err = err
	}
	return a.blob(mediaType, data)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
