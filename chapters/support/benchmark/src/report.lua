-- wrk calls this at the end. Its own output has no p99.9.
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("\nresult %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
