package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// tokenLife is longer than any run.
const tokenLife = 24 * time.Hour

// identity makes the service account as which the operator and the floor act, and its
// kubeconfig. The API server exempts administrators from priority and fairness: as one of
// them, a client with many requests would crowd out the scheduler more than an operator that
// is deployed can.
func (b *bench) identity(ctx context.Context) (*api.Config, error) {
	namespace, err := b.makeNamespace(ctx)
	if err != nil {
		return nil, err
	}
	account, err := b.kube.CoreV1().ServiceAccounts(namespace).Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "operator"}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot make a service account: %w", err)
	}
	b.binding = namespace
	_, err = b.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: b.binding},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot bind the service account to a role: %w", err)
	}
	seconds := int64(tokenLife / time.Second)
	token, err := b.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account.Name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot have a token of the service account: %w", err)
	}
	config, err := clientcmd.LoadFromFile(b.kubeconfig)
	if err == nil {
		err = api.FlattenConfig(config) // The files that it names are relative to its own folder.
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &api.AuthInfo{Token: token.Status.Token}
	}
	return config, nil
}

// leave deletes what the run made on a control plane that outlives it.
func (b *bench) leave(ctx context.Context) error {
	if b.options.kubeconfig == "" {
		return nil
	}
	var errs []error
	if b.binding != "" {
		errs = append(errs, b.kube.RbacV1().ClusterRoleBindings().Delete(ctx, b.binding, metav1.DeleteOptions{}))
	}
	for _, ns := range b.namespaces {
		errs = append(errs, b.kube.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}))
	}
	return errors.Join(errs...)
}
