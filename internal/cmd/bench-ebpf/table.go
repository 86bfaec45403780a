package main

import "fmt"

// table prints rows of Markdown as they are measured.
type table struct{}

func (table) head() {
	fmt.Println("| what | target | measured | peer |")
	fmt.Println("|---|---|---|---|")
}

// add prints a row. ok says whether the target is met.
func (table) add(what, target, measured, peer string, ok bool) {
	if !ok {
		measured = "**" + measured + " (missed)**"
	}
	fmt.Printf("| %s | %s | %s | %s |\n", what, target, measured, peer)
}

// info prints a row that has no target.
func (t table) info(what, measured, peer string) { t.add(what, "", measured, peer, true) }
