# sh examples/shadow-rollout/traffic.sh PORT: twenty requests to a proxy on this machine, and what came back how often.

token() {
  echo "authorization: Bearer $(node examples/issuer/token.mjs "examples/shadow-rollout/$1.json")"
}
alice=$(token alice) bob=$(token bob) batch=$(token batch)

# send TIMES WHO HEADER METHOD PATH; `x-none;` is a header without value: no token.
send() {
  times=$1 who=$2 header=$3 method=$4 path=$5
  while [ "$times" -gt 0 ]; do
    curl -s -o /dev/null -w "$method $path by $who: %{http_code}\n" -H "$header" -X "$method" "http://127.0.0.1:$port$path"
    times=$((times - 1))
  done
}

port=$1
{
  send 10 alice "$alice" GET /orders
  send 4 bob "$bob" POST /orders
  send 3 batch "$batch" POST /orders/import
  send 2 bob "$bob" GET /admin/report
  send 1 nobody "x-none;" GET /orders
} | LC_ALL=C sort | uniq -c
