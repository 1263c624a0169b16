// @ts-check
/** The conversation as a file. Loaded only when it is asked for. */

/** @param {{token: string, conversation: string}} session  Throws the Response that is no success. */
export async function download({ token, conversation }) {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`/v1/conversations/${conversation}/transcript`, { headers, cache: "no-store" });
  if (!response.ok) throw response;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = "chat.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
