// verdicts says of Kubernetes objects what Flux's library (kstatus) and a health script of Argo CD make of them.
//
//	verdicts HEALTH.lua < objects.json
//
// It reads a JSON array of whole objects and prints an array of the same length and order. The script runs as Argo CD
// runs one: on its interpreter, with the base, package and table libraries and nothing else, the object as global obj,
// one second at most.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type answer struct {
	Kstatus verdict `json:"kstatus"`
	Argo    verdict `json:"argo"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verdicts:", err)
		os.Exit(1)
	}
}

func run(arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: verdicts HEALTH.lua < objects.json")
	}
	script, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var objects []map[string]any
	// Whole numbers become int64, as they are in a controller's cache.
	if err := kjson.Unmarshal(text, &objects); err != nil {
		return err
	}
	answers := make([]answer, 0, len(objects))
	for i, object := range objects {
		result, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			return fmt.Errorf("object %d: kstatus: %w", i, err)
		}
		health, err := assess(string(script), object)
		if err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
		answers = append(answers, answer{verdict{string(result.Status), result.Message}, health})
	}
	return json.NewEncoder(out).Encode(answers)
}

// assess is the health that the script returns for one object.
func assess(script string, object map[string]any) (verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	}
	// The package library comes first: the others register themselves in it.
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		opening := lua.P{Fn: state.NewFunction(libraries[name]), Protect: true}
		if err := state.CallByParam(opening, lua.LString(name)); err != nil {
			return verdict{}, err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, fmt.Errorf("the script returned a %s, not a table", state.Get(-1).Type())
	}
	return verdict{text(table, "status"), text(table, "message")}, nil
}

func text(table *lua.LTable, field string) string {
	if found, ok := table.RawGetString(field).(lua.LString); ok {
		return string(found)
	}
	return ""
}

// value is JSON for Lua: null is nil, and so an absent field.
func value(state *lua.LState, any any) lua.LValue {
	switch is := any.(type) {
	case bool:
		return lua.LBool(is)
	case string:
		return lua.LString(is)
	case int64:
		return lua.LNumber(is)
	case float64:
		return lua.LNumber(is)
	case []interface{}:
		list := state.NewTable()
		for _, item := range is {
			list.Append(value(state, item))
		}
		return list
	case map[string]interface{}:
		table := state.NewTable()
		for key, item := range is {
			table.RawSetString(key, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
