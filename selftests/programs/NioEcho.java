// SPDX-License-Identifier: GPL-2.0-only

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Arrays;

/**
 * An echo server and its clients on one selector each, all non-blocking.
 *
 *	NioEcho serve PORT
 *	NioEcho load PORT MARKER CONNECTIONS BYTES
 */
class NioEcho {
	/** What one connection still has to send and to see. */
	static class Exchange {
		final ByteBuffer out;
		final ByteBuffer in;

		Exchange(byte[] data) {
			out = ByteBuffer.wrap(data);
			in = ByteBuffer.allocate(data.length);
		}
	}

	static void accept(Selector selector, ServerSocketChannel listener)
			throws IOException {
		SocketChannel peer = listener.accept();

		if (peer == null)
			return;
		peer.configureBlocking(false);
		peer.register(selector, SelectionKey.OP_READ,
			      ByteBuffer.allocateDirect(65536));
	}

	/** Reads unless there is something left to write. */
	static void echo(SelectionKey key) throws IOException {
		SocketChannel peer = (SocketChannel) key.channel();
		ByteBuffer buffer = (ByteBuffer) key.attachment();

		if (key.isReadable() && peer.read(buffer) < 0) {
			peer.close();
			return;
		}
		buffer.flip();
		peer.write(buffer);
		buffer.compact();
		key.interestOps(buffer.position() == 0 ?
			SelectionKey.OP_READ : SelectionKey.OP_WRITE);
	}

	static void serve(int port) throws IOException {
		Selector selector = Selector.open();
		ServerSocketChannel listener = ServerSocketChannel.open();

		listener.bind(new InetSocketAddress(port), 512);
		listener.configureBlocking(false);
		listener.register(selector, SelectionKey.OP_ACCEPT);
		while (true) {
			selector.select();
			for (SelectionKey key : selector.selectedKeys()) {
				if (key.isAcceptable())
					accept(selector, listener);
				else
					echo(key);
			}
			selector.selectedKeys().clear();
		}
	}

	static byte[] data(String marker, int number, int bytes) {
		byte[] unit = (marker + " " + number + " ").getBytes();
		byte[] data = new byte[bytes];

		for (int i = 0; i < bytes; i++)
			data[i] = unit[i % unit.length];
		return data;
	}

	static void connect(Selector selector, int port, byte[] data)
			throws IOException {
		InetAddress host = InetAddress.getLoopbackAddress();
		SocketChannel peer = SocketChannel.open();

		peer.configureBlocking(false);
		peer.register(selector, SelectionKey.OP_CONNECT,
			      new Exchange(data));
		peer.connect(new InetSocketAddress(host, port));
	}

	/** One step of one connection; true when all came back. */
	static boolean step(SelectionKey key) throws IOException {
		SocketChannel peer = (SocketChannel) key.channel();
		Exchange todo = (Exchange) key.attachment();

		if (key.isConnectable()) {
			if (!peer.finishConnect())
				return false;
			key.interestOps(SelectionKey.OP_READ |
					SelectionKey.OP_WRITE);
			return false;
		}
		if (key.isWritable() && todo.out.hasRemaining())
			peer.write(todo.out);
		if (!todo.out.hasRemaining())
			key.interestOps(SelectionKey.OP_READ);
		if (key.isReadable() && peer.read(todo.in) < 0)
			throw new IOException("end after " + todo.in.position());
		if (todo.in.hasRemaining())
			return false;
		if (!Arrays.equals(todo.in.array(), todo.out.array()))
			throw new IOException("other data came back");
		peer.close();
		return true;
	}

	static void load(int port, String marker, int connections, int bytes)
			throws IOException {
		Selector selector = Selector.open();
		int done = 0;

		for (int i = 0; i < connections; i++)
			connect(selector, port, data(marker, i, bytes));
		while (done < connections) {
			selector.select();
			for (SelectionKey key : selector.selectedKeys())
				done += step(key) ? 1 : 0;
			selector.selectedKeys().clear();
		}
		System.out.println("done " + done);
	}

	public static void main(String[] args) throws IOException {
		if (args[0].equals("serve"))
			serve(Integer.parseInt(args[1]));
		else
			load(Integer.parseInt(args[1]), args[2],
			     Integer.parseInt(args[3]),
			     Integer.parseInt(args[4]));
	}
}
