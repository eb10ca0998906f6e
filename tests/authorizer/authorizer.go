// Command authorizer answers questions with Kubernetes' own code: the RBAC authorizer, its rules and its subject locator.
//
// It reads a cluster a line (JSON: roles, bindings and questions) and writes a line for each, an answer for each question:
// whether it is allowed, by which bindings and rules, and who else is. It reads no cluster and opens no port.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

type question struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups"`
	Verb        string   `json:"verb"`
	Group       string   `json:"group"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource"`
	Namespace   string   `json:"namespace"`
	Name        string   `json:"name"`
	Path        string   `json:"path"`
}

type cluster struct {
	Roles               []*rbacv1.Role               `json:"roles"`
	ClusterRoles        []*rbacv1.ClusterRole        `json:"clusterRoles"`
	RoleBindings        []*rbacv1.RoleBinding        `json:"roleBindings"`
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding `json:"clusterRoleBindings"`
	Questions           []question                   `json:"questions"`
}

type subject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type answer struct {
	Allowed  bool      `json:"allowed"`
	By       []string  `json:"by"`
	Subjects []subject `json:"subjects"`
}

func main() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		check(err)
		var asked cluster
		check(json.Unmarshal(line, &asked))
		check(json.NewEncoder(out).Encode(answers(&asked)))
		check(out.Flush())
	}
}

func answers(asked *cluster) []answer {
	resolver, static := validation.NewTestRuleResolver(
		asked.Roles, asked.RoleBindings, asked.ClusterRoles, asked.ClusterRoleBindings)
	decider := rbac.New(static, static, static, static)
	locator := rbac.NewSubjectAccessEvaluator(static, static, static, static, "")
	found := make([]answer, 0, len(asked.Questions))
	for _, each := range asked.Questions {
		found = append(found, answered(resolver, decider, locator, attributes(each)))
	}
	return found
}

func attributes(each question) authorizer.AttributesRecord {
	who := &user.DefaultInfo{Name: each.User, Groups: each.Groups}
	if each.Path != "" {
		return authorizer.AttributesRecord{User: who, Verb: each.Verb, Path: each.Path}
	}
	return authorizer.AttributesRecord{
		User: who, Verb: each.Verb, APIGroup: each.Group, Resource: each.Resource, Subresource: each.Subresource,
		Namespace: each.Namespace, Name: each.Name, ResourceRequest: true,
	}
}

func answered(
	resolver validation.AuthorizationRuleResolver, decider *rbac.RBACAuthorizer, locator *rbac.SubjectAccessEvaluator,
	request authorizer.AttributesRecord,
) answer {
	ctx := context.Background()
	decision, _, err := decider.Authorize(ctx, request)
	check(err)
	found := answer{Allowed: decision == authorizer.DecisionAllow, By: []string{}, Subjects: []subject{}}
	// The authorizer stops at the first rule that allows it; here all of them are wanted.
	resolver.VisitRulesFor(ctx, request.User, request.Namespace, func(by fmt.Stringer, rule *rbacv1.PolicyRule, _ error) bool {
		if rule != nil && rbac.RuleAllows(request, rule) {
			found.By = append(found.By, by.String())
		}
		return true
	})
	// Its error is a role that is not there: the others are told all the same.
	subjects, _ := locator.AllowedSubjects(ctx, request)
	for _, each := range subjects {
		found.Subjects = append(found.Subjects, subject{each.Kind, each.Namespace, each.Name})
	}
	return found
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
