package deliver

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"
)

// Bounds of a filter: what is written, and what one evaluation may allocate.
const (
	maxFilter       = 4 << 10
	maxFilterNodes  = 500
	maxFilterMemory = 100_000 // elements of the arrays and maps that the expression makes
)

// filter is an endpoint's condition on the fields of a JSON body, compiled
// once. A nil filter lets every event through. It is safe for concurrent use.
//
// A field that the body has not is nil. Comparing nil by order is false, so
// 'data.object.amount >= 1000' does not select an event without an amount, and
// a bare missing field is false as well. Numbers are float64, as JSON's are.
// What cannot be evaluated, such as an order between text and a number, is an
// error and never a silent no.
type filter struct {
	program *vm.Program
}

func newFilter(text string) (*filter, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxFilter {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFilter)
	}
	program, err := expr.Compile(text, expr.AsBool(), expr.AllowUndefinedVariables(), expr.MaxNodes(maxFilterNodes),
		expr.Function(fieldFunction, field), expr.Function(orderFunction, order), expr.Patch(lenient{}))
	if err != nil {
		return nil, err
	}
	return &filter{program: program}, nil
}

// match tells whether the filter wants an event with this body. A body that is
// not a JSON object is an error.
func (f *filter) match(data []byte) (bool, error) {
	if f == nil {
		return true, nil
	}
	var body map[string]any
	if err := json.Unmarshal(data, &body); err != nil || body == nil {
		return false, errors.New("filter: the body is not a JSON object")
	}
	machine := vm.VM{MemoryBudget: maxFilterMemory}
	result, err := machine.Run(f.program, body)
	if err != nil {
		return false, fmt.Errorf("filter: %w", err)
	}
	switch wanted := result.(type) {
	case bool:
		return wanted, nil
	case nil:
		return false, nil
	}
	return false, fmt.Errorf("filter: the result is %T and not true or false", result)
}

// Functions that the patched expression calls. No field can be meant by these
// names, since an identifier cannot hold a space.
const (
	fieldFunction = "field of"
	orderFunction = "order of"
)

// lenient rewrites an expression so that missing fields are nil at any depth,
// nil is in no order to anything, and fields named like a built-in function,
// such as type and count, can be used.
type lenient struct{}

// Visit is called for every node, children first.
func (lenient) Visit(node *ast.Node) {
	call := func(name string, arguments ...ast.Node) {
		ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: arguments})
	}
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if _, shadowed := builtin.Index[n.Value]; shadowed {
			call(fieldFunction, &ast.IdentifierNode{Value: "$env"}, &ast.StringNode{Value: n.Value})
		}
	case *ast.MemberNode:
		call(fieldFunction, n.Node, n.Property)
	case *ast.BinaryNode:
		switch n.Operator {
		case "<", "<=", ">", ">=":
			call(orderFunction, &ast.StringNode{Value: n.Operator}, n.Left, n.Right)
		}
	}
}

// field returns the member of an object or the element of an array, or nil.
func field(params ...any) (any, error) {
	switch from := params[0].(type) {
	case map[string]any:
		if name, ok := params[1].(string); ok {
			return from[name], nil
		}
		return nil, fmt.Errorf("%v is not the name of a field", params[1])
	case []any:
		index, ok := params[1].(int)
		if number, isFloat := params[1].(float64); isFloat {
			index, ok = int(number), true
		}
		if !ok {
			return nil, fmt.Errorf("%v is not an index", params[1])
		}
		if index < 0 {
			index += len(from)
		}
		if index < 0 || index >= len(from) {
			return nil, nil
		}
		return from[index], nil
	}
	return nil, nil
}

// order compares by order. What has none panics in the runtime, which the
// machine turns into an error.
func order(params ...any) (any, error) {
	left, right := params[1], params[2]
	if left == nil || right == nil {
		return false, nil
	}
	switch params[0] {
	case "<":
		return runtime.Less(left, right), nil
	case "<=":
		return runtime.LessOrEqual(left, right), nil
	case ">":
		return runtime.More(left, right), nil
	}
	return runtime.MoreOrEqual(left, right), nil
}
