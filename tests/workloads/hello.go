// SPDX-License-Identifier: Apache-2.0
/*
 * A Go server: goroutines that hash and hand over, timers, a file that is appended to, a child on pipes.
 * A line "check" at port 8000 is answered by the sum of all steps and how often was asked.
 */
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

type chain struct {
	sync.Mutex
	n int
	h [32]byte
}

func (c *chain) run(in <-chan int, out chan<- int) {
	for token := range in {
		c.Lock()
		c.n, c.h = c.n+1, sha256.Sum256(c.h[:])
		c.Unlock()
		if token%100 == 0 {
			time.Sleep(time.Millisecond)
		}
		out <- token + 1
	}
}

func (c *chain) check() int {
	c.Lock()
	defer c.Unlock()
	var h [32]byte
	for i := 0; i < c.n; i++ {
		h = sha256.Sum256(h[:])
	}
	if h != c.h {
		panic("a chain is broken")
	}
	return c.n
}

func main() {
	runtime.GOMAXPROCS(4)
	const n = 20
	chains, links := make([]chain, n), make([]chan int, n)
	for i := range links {
		links[i] = make(chan int, 1)
	}
	for i := range chains {
		go chains[i].run(links[i], links[(i+1)%n])
	}
	links[0] <- 0
	go func() { // garbage
		for range time.Tick(time.Millisecond) {
			_ = bytes.Repeat([]byte("x"), 100000)
		}
	}()
	cat := exec.Command("cat")
	to, _ := cat.StdinPipe()
	pipe, _ := cat.StdoutPipe()
	from := bufio.NewReader(pipe)
	if err := cat.Start(); err != nil {
		panic(err)
	}
	asked := 0
	l, err := net.Listen("tcp", ":8000")
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			for in := bufio.NewScanner(c); in.Scan(); {
				if in.Text() == "ping" {
					fmt.Fprintln(c, "pong")
					continue
				}
				asked++
				sum := 0
				for i := range chains {
					sum += chains[i].check()
				}
				fmt.Fprintf(to, "%d\n", asked)
				if line, _ := from.ReadString('\n'); line != fmt.Sprintf("%d\n", asked) {
					panic("the child said " + line)
				}
				<-time.After(10 * time.Millisecond)
				fmt.Fprintf(c, "%d %d\n", sum, asked)
			}
			c.Close()
		}()
	}
}
