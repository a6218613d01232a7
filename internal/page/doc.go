// Package page is the page that shows jobs in a browser: its server, its assets, and the
// pure view model between them.
//
//   - [RowOf] and [ViewOf] turn a job and its pods into what the page shows. They are pure.
//   - [Source] and [Steering] are what the page needs of a cluster; package kube implements them.
//   - [New] makes the server. It answers on loopback only to those who know its secret.
//
// Nothing of a manifest is HTML here: the server sends JSON and plain text, and the scripts
// in assets make text nodes of it.
package page
