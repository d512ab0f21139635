// SPDX-License-Identifier: GPL-2.0-only

// An HTTP server and its load, as Go programs do it: net/http's defaults.
//
//	go_http serve ADDRESS
//	go_http load ADDRESS MARKER REQUESTS
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
)

const clients = 8

// echo answers with the body and its hash.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
	w.Write(body)
}

func post(client *http.Client, url string, body []byte) error {
	answer, err := client.Post(url, "text/plain", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body) {
		return fmt.Errorf("%d bytes sent, %d others back",
			len(body), len(got))
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	if answer.Header.Get("X-Sum") != sum {
		return fmt.Errorf("the server saw other data")
	}
	return nil
}

// load posts bodies from a few bytes to more than a megabyte.  Each client has
// connections of its own: where they are shared, a request may find one that
// has become free, and its own dial is still under way when the program ends.
func load(url string, marker []byte, requests int) {
	var running sync.WaitGroup

	for c := range clients {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		client := &http.Client{Transport: transport}
		running.Add(1)
		go func() {
			defer running.Done()
			for i := range requests {
				times := 1 << ((c + i) % 16)
				err := post(client, url,
					bytes.Repeat(marker, times))
				if err != nil {
					log.Fatalf("client %d, request %d: %v",
						c, i, err)
				}
			}
		}()
	}
	running.Wait()
	fmt.Println("done", clients*requests)
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		log.Fatal(http.ListenAndServe(os.Args[2],
			http.HandlerFunc(echo)))
	}
	if len(os.Args) != 5 || os.Args[1] != "load" {
		log.Fatal("usage: go_http serve|load ADDRESS ...")
	}
	requests, err := strconv.Atoi(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	load("http://"+os.Args[2]+"/", []byte(os.Args[3]), requests)
}
