-- Sends the tokens of a file one after the other, from the first again after the last, for as long as it is told.
local requests, sent = {}, 0

function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = "GET /v1/orders/1234567 HTTP/1.1\r\nHost: api.example.com\r\n"
      .. "User-Agent: example/1.0\r\nAccept: application/json\r\nAuthorization: Bearer " .. token .. "\r\n\r\n"
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end
