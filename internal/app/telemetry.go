package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/jethook/jethook/"

// telemetry is what the process tells about itself: traces, metrics and logs
// to the exporters that the standard OTEL_* variables name (none by default),
// and metrics at /metrics always.
type telemetry struct {
	registry *prometheus.Registry
	metrics  *sdkmetric.MeterProvider
	traces   *sdktrace.TracerProvider // nil without an exporter
	logs     *sdklog.LoggerProvider   // nil without an exporter
}

// newTelemetry also sends the log to OpenTelemetry where an exporter for logs
// is set.
func newTelemetry(ctx context.Context, options *Options) (*telemetry, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "jethook"), attribute.String("service.version", options.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	t := &telemetry{registry: prometheus.NewRegistry()}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := errors.Join(t.openMetrics(ctx, about), t.openTraces(ctx, about), t.openLogs(ctx, about, options)); err != nil {
		return nil, errors.Join(err, t.shutdown(ctx))
	}
	return t, nil
}

// exports reports whether the standard variables ask for an exporter of a
// signal. Without this check an OTLP exporter to localhost would be made.
func exports(signal string) bool {
	switch os.Getenv("OTEL_" + signal + "_EXPORTER") {
	case "none":
		return false
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	case "prometheus":
		return false // served at /metrics already; the exporter would open a port of its own
	}
	return true
}

func (t *telemetry) openMetrics(ctx context.Context, about *resource.Resource) error {
	exporter, err := promexporter.New(promexporter.WithRegisterer(t.registry), promexporter.WithoutScopeInfo(), promexporter.WithoutTargetInfo())
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(about), sdkmetric.WithReader(exporter)}
	if exports("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	t.metrics = sdkmetric.NewMeterProvider(options...)
	return nil
}

func (t *telemetry) openTraces(ctx context.Context, about *resource.Resource) error {
	if !exports("TRACES") {
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return err
	}
	t.traces = sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(exporter))
	return nil
}

func (t *telemetry) openLogs(ctx context.Context, about *resource.Resource, options *Options) error {
	if !exports("LOGS") {
		return nil
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return err
	}
	t.logs = sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	options.Logger = slog.New(slog.NewMultiHandler(options.Logger.Handler(),
		otelslog.NewHandler("jethook", otelslog.WithLoggerProvider(t.logs))))
	return nil
}

// tracer returns nil where nobody exports spans: making them would cost a tenth
// of the gateway's time.
func (t *telemetry) tracer(stage string) trace.Tracer {
	if t.traces == nil {
		return nil
	}
	return t.traces.Tracer(scope + stage)
}

func (t *telemetry) meter(stage string) metric.Meter { return t.metrics.Meter(scope + stage) }

func (t *telemetry) metricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// shutdown sends what waits and ends the exporters.
func (t *telemetry) shutdown(ctx context.Context) error {
	var errs []error
	if t.metrics != nil {
		errs = append(errs, t.metrics.Shutdown(ctx))
	}
	if t.traces != nil {
		errs = append(errs, t.traces.Shutdown(ctx))
	}
	if t.logs != nil {
		errs = append(errs, t.logs.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
