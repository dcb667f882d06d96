// A dataset of Workers Analytics Engine as workerd asks for it: each data point is a line of the log.

const text = (octets) => octets && new TextDecoder().decode(new Uint8Array(octets));

export default {
  async fetch(request) {
    const { index1, blob1, blob2, blob3, blob4, double1, double2 } = await request.json();
    const blobs = [blob1, blob2, blob3, blob4].map(text);
    console.log(JSON.stringify({ point: { index: text(index1), blobs, doubles: [double1, double2] } }));
    return new Response();
  },
};
