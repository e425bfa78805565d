// An Elastic Agent for the tests, as far as the program sees one that it runs: the public module's service and messages over
// gRPC with mutual TLS. It says on its standard output what comes, a JSON object a line, and does what its standard input
// says, a command a line:
//
//	expect JSON       what is wanted from now on, see `wanted`
//	diagnostics JSON  asks for those of the component, with these parameters
//	close             ends the check-in stream
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/elastic/elastic-agent-client/v7/pkg/client/chunk"
	"github.com/elastic/elastic-agent-client/v7/pkg/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	serverName = "b1946ac9"
	token      = "the-token"
)

// What came from the program.
type event struct {
	Event   string         `json:"event"`
	Version string         `json:"version,omitempty"`
	Units   []unit         `json:"units,omitempty"`
	ID      string         `json:"id,omitempty"`
	Status  string         `json:"status,omitempty"`
	Result  string         `json:"result,omitempty"`
	Files   map[string]int `json:"files,omitempty"`
	// Standard input of the program.
	Startup []byte `json:"startup,omitempty"`
}

// A unit as the program sees it.
type unit struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	State   string         `json:"state"`
	Message string         `json:"message"`
	Index   uint64         `json:"index"`
	Payload map[string]any `json:"payload,omitempty"`
}

// What the program is to do.
type wanted struct {
	Agent string `json:"agent"`
	Units []struct {
		ID     string         `json:"id"`
		Type   int32          `json:"type"`
		State  int32          `json:"state"`
		Index  uint64         `json:"index"`
		Level  int32          `json:"level"`
		Name   string         `json:"name"`
		Source map[string]any `json:"source"`
	} `json:"units"`
}

type agent struct {
	proto.UnimplementedElasticAgentServer
	messageBytesMax int
	output          sync.Mutex
	lock            sync.Mutex
	expected        *proto.CheckinExpected
	// A message for whoever has the stream open: there is something else to say.
	changed  chan struct{}
	closing  chan struct{}
	requests chan *proto.ActionRequest
}

func (a *agent) tell(said event) {
	a.output.Lock()
	defer a.output.Unlock()
	line, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// CheckinV2 says what is wanted at every change, and tells what is heard.
func (a *agent) CheckinV2(stream proto.ElasticAgent_CheckinV2Server) error {
	first, err := chunk.RecvObserved(stream)
	if err != nil {
		return err
	}
	if first.Token != token {
		return fmt.Errorf("another token: %q", first.Token)
	}
	a.heard(first)
	ended := make(chan error, 1)
	go func() {
		for {
			observed, err := chunk.RecvObserved(stream)
			if err != nil {
				ended <- err
				return
			}
			a.heard(observed)
		}
	}()
	for {
		if err := a.say(stream); err != nil {
			return err
		}
		select {
		case <-a.changed:
		case <-a.closing:
			return nil
		case <-ended:
			a.tell(event{Event: "closed"})
			return nil
		}
	}
}

func (a *agent) say(stream proto.ElasticAgent_CheckinV2Server) error {
	a.lock.Lock()
	expected := a.expected
	a.lock.Unlock()
	if expected == nil {
		return nil
	}
	pieces, err := chunk.Expected(protobuf.CloneOf(expected), a.messageBytesMax)
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		if err := stream.Send(piece); err != nil {
			return err
		}
	}
	return nil
}

func (a *agent) heard(observed *proto.CheckinObserved) {
	said := event{Event: "observed", Version: observed.GetVersionInfo().GetName()}
	for _, it := range observed.Units {
		said.Units = append(said.Units, unit{
			ID:      it.Id,
			Type:    it.Type.String(),
			State:   it.State.String(),
			Message: it.Message,
			Index:   it.ConfigStateIdx,
			Payload: it.Payload.AsMap(),
		})
	}
	a.tell(said)
}

// Actions asks for what the test asks for, and tells what is answered.
func (a *agent) Actions(stream proto.ElasticAgent_ActionsServer) error {
	ended := make(chan error, 1)
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			said := event{Event: "answer", ID: answer.Id, Status: answer.Status.String(), Result: string(answer.Result)}
			for _, file := range answer.Diagnostic {
				if said.Files == nil {
					said.Files = map[string]int{}
				}
				said.Files[file.Filename] = len(file.Content)
			}
			a.tell(said)
		}
	}()
	for {
		select {
		case request := <-a.requests:
			if err := stream.Send(request); err != nil {
				return err
			}
		case <-ended:
			return nil
		}
	}
}

func (a *agent) obey(line string) error {
	order, rest, _ := strings.Cut(line, " ")
	switch order {
	case "expect":
		var wanted wanted
		if err := json.Unmarshal([]byte(rest), &wanted); err != nil {
			return err
		}
		expected, err := message(wanted)
		if err != nil {
			return err
		}
		a.lock.Lock()
		a.expected = expected
		a.lock.Unlock()
		select {
		case a.changed <- struct{}{}:
		default:
		}
	case "diagnostics":
		a.requests <- &proto.ActionRequest{
			Id:     "diagnostics-1",
			Type:   proto.ActionRequest_DIAGNOSTICS,
			Level:  proto.ActionRequest_COMPONENT,
			Params: []byte(rest),
		}
	case "close":
		a.closing <- struct{}{}
	default:
		return fmt.Errorf("no such order: %q", line)
	}
	return nil
}

func message(wanted wanted) (*proto.CheckinExpected, error) {
	expected := &proto.CheckinExpected{
		AgentInfo:    &proto.AgentInfo{Id: wanted.Agent, Version: "9.6.0", Mode: proto.AgentManagedMode_MANAGED},
		FeaturesIdx:  1,
		Features:     &proto.Features{Fqdn: &proto.FQDNFeature{Enabled: true}},
		ComponentIdx: 1,
		Component:    &proto.Component{Limits: &proto.ComponentLimits{GoMaxProcs: 2}},
	}
	for _, it := range wanted.Units {
		source, err := structpb.NewStruct(it.Source)
		if err != nil {
			return nil, err
		}
		expected.Units = append(expected.Units, &proto.UnitExpected{
			Id:             it.ID,
			Type:           proto.UnitType(it.Type),
			State:          proto.State(it.State),
			ConfigStateIdx: it.Index,
			LogLevel:       proto.UnitLogLevel(it.Level),
			Config:         &proto.UnitExpectedConfig{Id: it.ID, Type: it.Name, Source: source},
		})
	}
	return expected, nil
}

func run() error {
	messageBytesMax := flag.Int("message-bytes-max", 100<<20, "larger messages go in pieces")
	flag.Parse()
	keys, err := makeKeys()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	agent := &agent{
		messageBytesMax: *messageBytesMax,
		changed:         make(chan struct{}, 1),
		closing:         make(chan struct{}),
		requests:        make(chan *proto.ActionRequest),
	}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			ClientAuth: tls.RequireAndVerifyClientCert,
			ClientCAs:  keys.pool,
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if hello.ServerName != serverName {
					return nil, fmt.Errorf("another name: %q", hello.ServerName)
				}
				return &keys.own, nil
			},
		})),
		grpc.MaxRecvMsgSize(*messageBytesMax),
	)
	proto.RegisterElasticAgentServer(server, agent)
	go func() {
		if err := server.Serve(listener); err != nil {
			panic(err)
		}
	}()
	startup, err := protobuf.Marshal(&proto.StartUpInfo{
		Addr:           fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port),
		ServerName:     serverName,
		Token:          token,
		CaCert:         keys.authority,
		PeerCert:       keys.peerCertificate,
		PeerKey:        keys.peerKey,
		Services:       []proto.ConnInfoServices{proto.ConnInfoServices_CheckinV2},
		Supports:       []proto.ConnectionSupports{proto.ConnectionSupports_CheckinChunking},
		MaxMessageSize: uint32(*messageBytesMax),
		AgentInfo:      &proto.AgentInfo{Version: "9.6.0"},
	})
	if err != nil {
		return err
	}
	agent.tell(event{Event: "startup", Startup: startup})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if err := agent.obey(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
