-- Sends the tokens of one file in the order of another, each line an index from 0, and ends. An empty line is no token.
local requests, order, total, sent = {}, {}, 0, 0

function init(args)
  for token in io.lines(args[1]) do
    local authorization = token == "" and "" or "Authorization: Bearer " .. token .. "\r\n"
    requests[#requests + 1] = "GET /v1/orders/1234567 HTTP/1.1\r\nHost: api.example.com\r\n"
      .. "User-Agent: example/1.0\r\nAccept: application/json\r\n" .. authorization .. "\r\n"
  end
  for index in io.lines(args[2]) do
    total = total + 1
    order[total] = requests[index + 1]
  end
end

function request()
  sent = sent + 1
  if sent > total then
    -- wrk knows no number of requests. What is still on its way is lost: at most one a connection.
    os.exit(0)
  end
  return order[sent]
end
