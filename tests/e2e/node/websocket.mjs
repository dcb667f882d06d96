// node websocket.mjs origin            a WebSocket server; prints `ready PORT`
// node websocket.mjs client URL FIELDS  a client with these header fields (JSON); prints what it saw
//
// The server greets with what it saw of the request, sends back what it gets, and closes with 4001 at the text `close`. Below /refuse it
// answers with 403.
import { once } from 'node:events'
import { createServer } from 'node:http'
import WebSocket, { WebSocketServer } from 'ws'

async function origin() {
  const server = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    if (request.url.startsWith('/refuse')) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: so\r\nConnection: close\r\n\r\nno')
      return
    }
    sockets.handleUpgrade(request, socket, head, (connected) => {
      const { 'x-user-id': user, authorization, x_user_id: forged } = request.headers
      connected.send(JSON.stringify({ path: request.url, user, authorization, forged, protocol: connected.protocol }))
      connected.on('message', (data, binary) => {
        if (!binary && data.toString() === 'close') connected.close(4001, 'bye')
        else connected.send(data, { binary })
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  console.log(`ready ${server.address().port}`)
}

async function client(url, fields) {
  const socket = new WebSocket(url, ['chat'], { headers: JSON.parse(fields) })
  const messages = []
  socket.on('message', (data, binary) => {
    messages.push(binary ? [...data] : data.toString())
    const next = ['hello', new Uint8Array([0, 1, 255]), 'x'.repeat(100000), 'close'][messages.length - 1]
    socket.send(next)
  })
  const ended = await Promise.race([
    once(socket, 'close').then(([code, reason]) => ({ code, reason: reason.toString() })),
    once(socket, 'unexpected-response').then(async ([, response]) => {
      let body = ''
      for await (const chunk of response) body += chunk
      return { status: response.statusCode, body, why: response.headers['x-why'] }
    }),
  ])
  if (messages.length > 3) messages[3] = messages[3].length
  console.log(JSON.stringify({ messages, protocol: socket.protocol, ...ended }))
  process.exit()
}

if (process.argv[2] === 'origin') await origin()
else await client(process.argv[3], process.argv[4])
