// Where requests go on to, in the same process: it answers with the user that it was told of, so that what is measured is seen to work.
export default {
  fetch(request) {
    return new Response(request.headers.get("x-user-id"), { headers: { "content-type": "text/plain" } });
  },
};
