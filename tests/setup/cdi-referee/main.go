// The referee for CDI: what the library that engines use makes of our files.
//
//	cdi-referee validate FILE...          one JSON object a file: its version, the lowest that would do,
//	                                      and which lower ones the library takes all the same
//	cdi-referee inject DIR CONFIG NAME... the OCI configuration with the devices in it
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	oci "github.com/opencontainers/runtime-spec/specs-go"
	"tags.cncf.io/container-device-interface/pkg/cdi"
	specs "tags.cncf.io/container-device-interface/specs-go"
)

var versions = []string{"0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"}

func main() {
	var err error
	switch {
	case len(os.Args) > 2 && os.Args[1] == "validate":
		for _, file := range os.Args[2:] {
			if err = validate(file); err != nil {
				break
			}
		}
	case len(os.Args) > 4 && os.Args[1] == "inject":
		err = inject(os.Args[2], os.Args[3], os.Args[4:])
	default:
		err = fmt.Errorf("usage: cdi-referee validate FILE... | inject DIR CONFIG NAME...")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cdi-referee:", err)
		os.Exit(1)
	}
}

func validate(file string) error {
	spec, err := cdi.ReadSpec(file, 0)
	if err != nil {
		return err
	}
	lowest, err := specs.MinimumRequiredVersion(spec.Spec)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	taken := []string{}
	for _, version := range versions {
		if version == spec.Version {
			break
		}
		lower := strings.Replace(string(text), `"`+spec.Version+`"`, `"`+version+`"`, 1)
		copied := filepath.Join(os.TempDir(), fmt.Sprintf("cdi-referee-%d.json", os.Getpid()))
		if err := os.WriteFile(copied, []byte(lower), 0o600); err != nil {
			return err
		}
		if _, err := cdi.ReadSpec(copied, 0); err == nil {
			taken = append(taken, version)
		}
		os.Remove(copied)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"file": file, "version": spec.Version, "lowest": lowest, "taken": taken,
	})
}

func inject(dir, config string, names []string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var spec oci.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	cache, err := cdi.NewCache(cdi.WithSpecDirs(dir), cdi.WithAutoRefresh(false))
	if err != nil {
		return err
	}
	if errors := cache.GetErrors(); len(errors) > 0 {
		return fmt.Errorf("the folder has errors: %v", errors)
	}
	if missing, err := cache.InjectDevices(&spec, names...); err != nil {
		return fmt.Errorf("inject %v (missing %v): %w", names, missing, err)
	}
	return json.NewEncoder(os.Stdout).Encode(&spec)
}
