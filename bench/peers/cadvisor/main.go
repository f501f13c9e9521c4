// cAdvisor as its own command wires it: the manager with its default metrics, housekeeping and storage,
// and the Prometheus endpoint beside it. The command itself lives in a module that is built from a clone
// alone; this is the library of a published version, without the web pages.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/cadvisor/cache/memory"
	"github.com/google/cadvisor/container"
	_ "github.com/google/cadvisor/container/containerd/install"
	_ "github.com/google/cadvisor/container/crio/install"
	_ "github.com/google/cadvisor/container/docker/install"
	_ "github.com/google/cadvisor/container/podman/install"
	_ "github.com/google/cadvisor/container/systemd/install"
	v2 "github.com/google/cadvisor/info/v2"
	"github.com/google/cadvisor/manager"
	"github.com/google/cadvisor/metrics"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

// What cAdvisor's command leaves out unless it is asked for.
var ignored = container.MetricSet{
	container.MemoryNumaMetrics:              struct{}{},
	container.NetworkTcpUsageMetrics:         struct{}{},
	container.NetworkUdpUsageMetrics:         struct{}{},
	container.NetworkAdvancedTcpUsageMetrics: struct{}{},
	container.ProcessSchedulerMetrics:        struct{}{},
	container.ProcessMetrics:                 struct{}{},
	container.HugetlbUsageMetrics:            struct{}{},
	container.ReferencedMemoryMetrics:        struct{}{},
	container.CPUTopologyMetrics:             struct{}{},
	container.ResctrlMetrics:                 struct{}{},
	container.CPUSetMetrics:                  struct{}{},
}

func main() {
	address := flag.String("listen_ip", "", "IP to listen on")
	port := flag.Int("port", 8080, "port to listen on")
	flag.Parse()
	included := container.AllMetrics.Difference(ignored)
	storage := memory.New(2*time.Minute, nil)
	everything := []string{""}
	m, err := manager.New(storage, sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, included,
		http.DefaultClient, everything, everything, "", 0)
	if err != nil {
		log.Fatalf("making cAdvisor's manager failed: %v", err)
	}
	if err := m.Start(); err != nil {
		log.Fatalf("starting cAdvisor's manager failed: %v", err)
	}
	options := v2.RequestOptions{IdType: v2.TypeName, Count: 1, Recursive: true}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(m, metrics.DefaultContainerLabels, included, clock.RealClock{}, options),
		metrics.NewPrometheusMachineCollector(m, included),
	)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	log.Fatal(http.ListenAndServe(net.JoinHostPort(*address, strconv.Itoa(*port)), nil))
}
