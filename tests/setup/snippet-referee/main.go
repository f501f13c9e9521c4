// The referee for snippets: what Compose's own loader, and the parser of Nomad's language, make of them.
//
//	snippet-referee compose FILE...   one JSON object a file: the service "app" as `docker compose config`
//	                                  has it, the file laid over a service that only has an image
//	snippet-referee nomad FILE...     one JSON object a file: what stands in a task, read with the fields
//	                                  that Nomad documents for its docker driver, and no others
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func main() {
	read := map[string]func(string) (any, error){"compose": compose, "nomad": nomad}
	if len(os.Args) < 3 || read[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: snippet-referee compose|nomad FILE...")
		os.Exit(2)
	}
	for _, file := range os.Args[2:] {
		what, err := read[os.Args[1]](file)
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(what)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "snippet-referee: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func compose(file string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	base := []byte("services:\n  app:\n    image: an-image\n")
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "base.yaml", Content: base}, {Filename: file, Content: text}},
		Environment: map[string]string{},
	}, func(options *loader.Options) { options.SetProjectName("project", true) })
	if err != nil {
		return nil, err
	}
	return project.Services["app"], nil
}

// task is the part of a task that we write.
type task struct {
	Config struct {
		Devices []struct {
			HostPath      string `hcl:"host_path,optional" json:"host_path"`
			ContainerPath string `hcl:"container_path,optional" json:"container_path"`
			Permissions   string `hcl:"cgroup_permissions,optional" json:"cgroup_permissions"`
		} `hcl:"devices,block" json:"devices"`
		Mounts []struct {
			Type     string `hcl:"type,optional" json:"type"`
			Target   string `hcl:"target,optional" json:"target"`
			Source   string `hcl:"source,optional" json:"source"`
			ReadOnly bool   `hcl:"readonly,optional" json:"readonly"`
		} `hcl:"mount,block" json:"mount"`
		GroupAdd []string `hcl:"group_add,optional" json:"group_add"`
	} `hcl:"config,block" json:"config"`
	Env *struct {
		Variables hcl.Attributes `hcl:",remain"`
	} `hcl:"env,block" json:"-"`
	Environment map[string]string `json:"env"`
}

func nomad(file string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, problems := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
	if problems.HasErrors() {
		return nil, problems
	}
	var found task
	if problems := gohcl.DecodeBody(parsed.Body, nil, &found); problems.HasErrors() {
		return nil, problems
	}
	found.Environment = map[string]string{}
	if found.Env != nil {
		for name, variable := range found.Env.Variables {
			value, problems := variable.Expr.Value(nil)
			if problems.HasErrors() {
				return nil, problems
			}
			found.Environment[name] = value.AsString()
		}
	}
	return found, nil
}
