// A collector for the tests, as far as the server sees one: the public OpAMP client over HTTP or a WebSocket. It says on its
// standard output what comes, a JSON object a line, and does what its standard input says, a command a line:
//
//	health MESSAGE   it is not well (without a message: it is)
//	config YAML      what it runs, on one line
//	stop             it says good-bye and ends
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/open-telemetry/opamp-go/client"
	"github.com/open-telemetry/opamp-go/client/types"
	"github.com/open-telemetry/opamp-go/protobufs"
)

// What came from the server, or befell us.
type event struct {
	Event  string `json:"event"`
	Text   string `json:"text,omitempty"`
	Config string `json:"config,omitempty"`
}

type collector struct {
	client client.OpAMPClient
	lock   sync.Mutex
	config string
}

func (c *collector) tell(said event) {
	c.lock.Lock()
	defer c.lock.Unlock()
	line, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// Debugf is what the client asks of a logger.
func (c *collector) Debugf(context.Context, string, ...any) {}

// Errorf tells the test what the client complains about.
func (c *collector) Errorf(_ context.Context, format string, values ...any) {
	c.tell(event{Event: "complaint", Text: fmt.Sprintf(format, values...)})
}

func (c *collector) effectiveConfig(context.Context) (*protobufs.EffectiveConfig, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	file := &protobufs.AgentConfigFile{Body: []byte(c.config), ContentType: "text/yaml"}
	files := map[string]*protobufs.AgentConfigFile{"": file}
	return &protobufs.EffectiveConfig{ConfigMap: &protobufs.AgentConfigMap{ConfigMap: files}}, nil
}

// A message from the server: a configuration is taken over at once.
func (c *collector) message(ctx context.Context, message *types.MessageData) {
	offered := message.RemoteConfig
	if offered == nil {
		c.tell(event{Event: "message"})
		return
	}
	body := string(offered.Config.ConfigMap[""].Body)
	c.tell(event{Event: "offer", Config: body, Text: hex.EncodeToString(offered.ConfigHash)})
	c.lock.Lock()
	c.config = body
	c.lock.Unlock()
	status := &protobufs.RemoteConfigStatus{
		LastRemoteConfigHash: offered.ConfigHash,
		Status:               protobufs.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED,
	}
	c.must(c.client.SetRemoteConfigStatus(status))
	c.must(c.client.UpdateEffectiveConfig(ctx))
}

func (c *collector) must(err error) {
	if err != nil {
		c.tell(event{Event: "failure", Text: err.Error()})
		os.Exit(1)
	}
}

func (c *collector) obey(ctx context.Context, line string) {
	command, rest, _ := strings.Cut(line, " ")
	switch command {
	case "health":
		c.must(c.client.SetHealth(&protobufs.ComponentHealth{Healthy: rest == "", LastError: rest}))
	case "config":
		c.lock.Lock()
		c.config = rest
		c.lock.Unlock()
		c.must(c.client.UpdateEffectiveConfig(ctx))
	case "stop":
		c.must(c.client.Stop(ctx))
		c.tell(event{Event: "stopped"})
		os.Exit(0)
	default:
		c.tell(event{Event: "failure", Text: "unknown command " + line})
	}
}

func attribute(key, value string) *protobufs.KeyValue {
	text := &protobufs.AnyValue{Value: &protobufs.AnyValue_StringValue{StringValue: value}}
	return &protobufs.KeyValue{Key: key, Value: text}
}

func trusting(authority string) *tls.Config {
	if authority == "" {
		return nil
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		panic("no certificate in " + authority)
	}
	return &tls.Config{RootCAs: roots}
}

func main() {
	url := flag.String("url", "", "of the server: https:// or wss://")
	token := flag.String("token", "", "enrollment token")
	authority := flag.String("ca", "", "PEM file of the authority to trust")
	uid := flag.String("uid", "", "instance UID, 32 hexadecimal digits")
	compress := flag.Bool("compress", false, "compress messages")
	flag.Parse()

	ctx := context.Background()
	c := &collector{config: "receivers: {}"}
	if strings.HasPrefix(*url, "ws") {
		c.client = client.NewWebSocket(c)
	} else {
		c.client = client.NewHTTP(c)
	}
	var instance types.InstanceUid
	if _, err := hex.Decode(instance[:], []byte(*uid)); err != nil {
		panic(err)
	}
	c.must(c.client.SetAgentDescription(&protobufs.AgentDescription{
		IdentifyingAttributes: []*protobufs.KeyValue{
			attribute("service.name", "go-client"), attribute("service.version", "0.23.0"),
		},
		NonIdentifyingAttributes: []*protobufs.KeyValue{attribute("host.name", "here"), attribute("tags", "real")},
	}))
	capabilities := protobufs.AgentCapabilities_AgentCapabilities_ReportsStatus |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsEffectiveConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHealth |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsRemoteConfig
	c.must(c.client.SetHealth(&protobufs.ComponentHealth{Healthy: true}))
	c.must(c.client.SetCapabilities(&capabilities))
	c.must(c.client.Start(ctx, types.StartSettings{
		OpAMPServerURL:    *url,
		Header:            http.Header{"Authorization": []string{"ApiKey " + *token}},
		TLSConfig:         trusting(*authority),
		InstanceUid:       instance,
		EnableCompression: *compress,
		Callbacks: types.Callbacks{
			OnConnect:       func(context.Context) { c.tell(event{Event: "connected"}) },
			OnConnectFailed: func(_ context.Context, err error) { c.tell(event{Event: "unconnected", Text: err.Error()}) },
			OnError: func(_ context.Context, e *protobufs.ServerErrorResponse) {
				c.tell(event{Event: "error", Text: e.ErrorMessage})
			},
			OnMessage:          c.message,
			GetEffectiveConfig: c.effectiveConfig,
		},
	}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		c.obey(ctx, lines.Text())
	}
}
