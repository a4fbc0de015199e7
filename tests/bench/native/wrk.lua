-- wrk -s wrk.lua URL -- CONNECTIONS REQUEST…: send the files in turn, as load.c does, and end with a line of JSON.
-- wrk does not say which connection asks, so that the numbers go round over all of them.

local prepared = {}

function init(words)
  local files = {}
  for i = 2, #words do
    local file = assert(io.open(words[i], "rb"))
    files[#files + 1] = file:read("*a")
    file:close()
  end
  for number = 0, tonumber(words[1]) - 1 do
    for _, text in ipairs(files) do
      local at = text:find("########", 1, true)
      if at then
        text = text:sub(1, at - 1) .. string.format("%08d", number) .. text:sub(at + 8)
      end
      prepared[#prepared + 1] = text
    end
  end
end

local turn = 0

function request()
  turn = turn % #prepared + 1
  return prepared[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"rate":%.2f,"p50":%.1f,"p99":%.1f,"failed":%d,"all":%d}\n',
    summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout, summary.requests))
end
