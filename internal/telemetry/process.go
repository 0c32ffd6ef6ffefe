package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/semconv/v1.43.0/processconv"
)

// usage is what the operating system says of this process. A member that it
// does not tell is negative.
type usage struct {
	user, system time.Duration // CPU time
	resident     int64         // bytes of physical memory
	files        int64         // open file descriptors
}

// observeProcess registers the process.* metrics; they cost only when read.
func observeProcess(meter metric.Meter) error {
	var cpuTime processconv.CPUTime // the conventions' package has no observable form of it
	cpu, err := meter.Float64ObservableCounter(cpuTime.Name(),
		metric.WithUnit(cpuTime.Unit()), metric.WithDescription(cpuTime.Description()))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	memory, err := processconv.NewMemoryUsageObservable(meter)
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	files, err := processconv.NewUnixFileDescriptorCountObservable(meter)
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	uptime, err := processconv.NewUptimeObservable(meter)
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	started := time.Now()
	user := metric.WithAttributes(cpuTime.AttrCPUMode(processconv.CPUModeUser))
	system := metric.WithAttributes(cpuTime.AttrCPUMode(processconv.CPUModeSystem))
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		u := readUsage()
		if u.user >= 0 {
			o.ObserveFloat64(cpu, u.user.Seconds(), user)
			o.ObserveFloat64(cpu, u.system.Seconds(), system)
		}
		if u.resident >= 0 {
			o.ObserveInt64(memory.Inst(), u.resident)
		}
		if u.files >= 0 {
			o.ObserveInt64(files.Inst(), u.files)
		}
		o.ObserveFloat64(uptime.Inst(), time.Since(started).Seconds())
		return nil
	}, cpu, memory.Inst(), files.Inst(), uptime.Inst())
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}
